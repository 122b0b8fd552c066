"""Lives of requests at one datasite, step by step, each step as its service or its owner does it.

A step may be done again after it was cut off anywhere: letters are delivered again, owners look and type again, and
the worker looks for what waits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datasites.execution.charge_round import Assignment
from datasites.execution.trainer_result import RoundResult
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.protocol.content import wrap
from datasites.protocol.envelope import seal
from datasites.protocol.identity import Identity
from datasites.protocol.messages import (
    AdvertisementMessage,
    Message,
    RoundStart,
    SetupStart,
    StudyClose,
    StudySubmission,
)
from datasites.requests.decide import deny
from datasites.requests.records import Request, Status, find_study
from datasites.serving.incoming import Incoming
from policies.log.entries import LogEntry
from policies.log.journal import entries
from tests.one_site import Scene, new_scene
from tests.one_study import INITIAL, PARAMETERS, RUN, STUDY, model

ONE_ROUND: dict[str, Any] = {"training": {"rounds": 1, "retries": 1}, "evaluation": {"models": [0]}}
"""One sum, which trains and measures; and a round that may be computed again."""


@dataclass
class Memory:
    """What the people around the site keep while it is dead: their clock, and the letters that they wrote to it."""

    seconds: float
    letters: dict[str, bytes] = field(default_factory=dict)
    written: int = 0


Act = Callable[[Scene, Memory], None]


@dataclass(frozen=True)
class Step:
    """One step; `prepare` is what somebody else does before it, who is not killed."""

    name: str
    act: Act
    prepare: Act = lambda _scene, _memory: None


@dataclass(frozen=True)
class Life:
    """Steps to an end, and the check that this end was reached; the steps watched are in no other life."""

    name: str
    steps: tuple[Step, ...]
    ended: Callable[[Scene], None]
    watched_from: int = 0
    begin: Callable[[Path, str], Scene] = new_scene
    watched_until: int | None = None


class InstantTrainers(Trainers):
    """Trainers without processes: every program is fit, and every round gives the same result at once."""

    def start(self, request: Request, _data_set: object) -> None:
        """It is running."""

    def check(self, request: Request, _data_set: object) -> None:
        """Its programs are fit."""

    def is_running(self, request: Request) -> bool:
        return True

    def end_all_but(self, digests: object) -> None:
        """There is none to end."""

    def compute(self, assignment: Assignment) -> RoundResult:
        terms, number = assignment.request.terms, assignment.round_number
        update = (np.full(PARAMETERS, 0.25, np.float32),) if terms.trains_in(number) else ()
        metrics = np.array([20.0, 5.0]) if terms.evaluates_in(number) else None
        return RoundResult(metrics, iter(update), ("seccomp",))


def worker(scene: Scene) -> Worker:
    """The site's worker."""
    return Worker(scene.site, InstantTrainers(scene.site))


def request_of(scene: Scene) -> Request:
    """The life's study."""
    with scene.site.engine.begin() as connection:
        found = find_study(connection, scene.researcher.party, STUDY)
    assert found is not None
    return found


def unless(happened: Callable[[Scene], bool], act: Callable[[Scene], object]) -> Act:
    """What somebody does who looks first whether it was done before the site died."""

    def acted(scene: Scene, _memory: Memory) -> None:
        if not happened(scene):
            act(scene)

    return acted


def logged(scene: Scene, *kinds: type[LogEntry]) -> list[LogEntry]:
    """The log's entries of these kinds, oldest first."""
    with scene.site.engine.begin() as connection:
        return [entry for _, entry in entries(connection) if isinstance(entry, kinds)]


def submission(scene: Scene, study: str = STUDY, **changes: Any) -> StudySubmission:
    """What submits a study, its parameters in the letter itself."""
    return scene.submission(scene.terms(study, **changes), initial_parameters=wrap(INITIAL)[0])


def letter(
    name: str,
    write: Callable[[Scene], Message],
    sender: Callable[[Scene], Identity] = lambda scene: scene.researcher,
    *,
    anew: bool = False,
) -> Step:
    """A letter, by the researcher if nobody else is named, is delivered, as often as it takes.

    One that answers a question of this site's is written `anew` after a kill, for it asks anew then.
    """

    def prepare(scene: Scene, memory: Memory) -> None:
        if anew or name not in memory.letters:
            memory.written += 1
            memory.letters[name] = seal(sender(scene), scene.site.identity.card, memory.written, write(scene))

    def act(scene: Scene, memory: Memory) -> None:
        Incoming(scene.site, mailbox=None).take(memory.letters[name])  # type: ignore[arg-type]  # nothing to fetch

    return Step(name, act, prepare)


def _work(scene: Scene, _memory: Memory) -> None:
    working = worker(scene)
    scene.witness()
    while working.work():
        scene.witness()


def _decided(scene: Scene) -> bool:
    return request_of(scene).status is not Status.PENDING


def _approve(scene: Scene) -> None:
    scene.approve(request_of(scene))


def _deny(scene: Scene) -> None:
    number = request_of(scene).number
    with scene.site.engine.begin() as connection:
        deny(connection, scene.site, number, "Not now.", scene.owner_key)


def _let_it_expire(scene: Scene, memory: Memory) -> None:
    memory.seconds = scene.clock.seconds = request_of(scene).terms.expires_at


def _roster(scene: Scene) -> Message:
    (own,) = scene.letters(AdvertisementMessage)
    assert isinstance(own, AdvertisementMessage)
    return scene.roster(request_of(scene), own.advertisement)


SUBMITTED = letter("submission", lambda scene: submission(scene, **ONE_ROUND))
SET_UP = letter("set-up", lambda scene: SetupStart(study=STUDY, run=RUN, terms_digest=request_of(scene).digest))
ROSTER = letter("roster", _roster)
ROUND = letter("round", lambda _scene: RoundStart(study=STUDY, run=RUN, round=1, model=wrap(model())[0]))
CLOSED = letter("close", lambda _scene: StudyClose(study=STUDY, reason="Enough."))
CHECKED, WORKED = Step("check", _work), Step("work", _work)
APPROVED, DENIED = Step("approve", unless(_decided, _approve)), Step("deny", unless(_decided, _deny))
RUNNING = (SUBMITTED, CHECKED, APPROVED, SET_UP, ROSTER, ROUND)
"""To a study whose round waits."""


def ends_as(status: Status, *answered: int) -> Callable[[Scene], None]:
    """The study ended so, with these rounds answered, and holds nothing any more."""

    def ended(scene: Scene) -> None:
        request = request_of(scene)
        assert request.status is status
        assert [it.round for it in scene.updates()] == list(answered)
        assert scene.balance().training.reserved_units == 0
        assert scene.count("mask_keys") == 0

    return ended


LIVES = (
    Life("done", (*RUNNING, WORKED), ends_as(Status.DONE, 1)),
    Life("denied", (SUBMITTED, CHECKED, DENIED), ends_as(Status.DENIED), 2),
    Life("closed", (*RUNNING, CLOSED), ends_as(Status.CLOSED), 6),
    Life(
        "expired",
        (SUBMITTED, CHECKED, APPROVED, SET_UP, Step("expire", _work, _let_it_expire)),
        ends_as(Status.EXPIRED),
        4,
    ),
)
