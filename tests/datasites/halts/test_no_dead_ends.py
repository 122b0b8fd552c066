"""Whatever happens to requests in whatever order, units are reserved for open requests alone, and the log is whole."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import pytest

from datasites.requests.records import Status, find_study
from tests.one_life import JOBS, STUDIES, Life

STEPS = 100


def advance(life: Life, study: str) -> None:
    """The next thing that usually happens to a study."""
    with life.scene.site.engine.begin() as connection:
        found = find_study(connection, life.scene.researcher.party, study)
    match None if found is None else found.status:
        case None:
            life.receive(study)
        case Status.RECEIVED:
            life.check(study)
        case Status.PENDING:
            life.approve(study)
        case Status.APPROVED:
            life.set_up(study)
            life.ask(study, 1)
        case Status.RUNNING:
            life.charge()
            life.answer()
            life.ask(study, 2)


def advance_job(life: Life, name: str) -> None:
    """The next thing that usually happens to a job."""
    life.send_job(name)
    life.try_job()
    life.approve_job(name)


def events(life: Life, dice: Random) -> Sequence[tuple[int, Callable[[], object]]]:
    """What may happen next, with how often it does."""
    study, job = dice.choice(STUDIES), dice.choice(JOBS)
    return (
        (60, lambda: advance(life, study)),
        (20, lambda: advance_job(life, job)),
        (5, life.charge),
        (5, life.answer),
        (5, life.run_job),
        (5, life.run_job),
        (20, life.resume),
        *((2, partial(event, study)) for event in (life.deny, life.withdraw, life.fail, life.revoke)),
        *((2, partial(event, job)) for event in (life.deny_job, life.release_job, life.cancel_job, life.revoke_job)),
        *((3, event) for event in (life.restart, life.stop, life.expire)),
        (2, life.recover),
    )


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_in_whatever_order(seed: int, tmp_path: Path) -> None:
    life, dice = Life(tmp_path), Random(seed)
    for _ in range(STEPS):
        weights, possible = zip(*events(life, dice), strict=True)
        dice.choices(possible, weights)[0]()
        life.check_all()
    life.end()
