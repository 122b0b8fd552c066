"""What a machine lacks for a study is said before any round is charged, and ends nothing but this study."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datasites.execution.follower import follow
from datasites.execution.team import Team
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import TrainerFailedError
from policies.errors import RefusedError, UnavailableError
from tests import frozen_study
from tests.machines import Leader, begin, listening, until

STUDY, PARAMETERS = frozen_study.study(), frozen_study.parameters()


@pytest.fixture
def leader() -> Iterator[Leader]:
    with listening() as made:
        yield made


def test_a_machine_that_cannot_train_the_study_says_why(leader: Leader, tmp_path: Path) -> None:
    """The follower's own trainer looks at the study before it is given any data."""
    folder = tmp_path / "follower"
    folder.mkdir(mode=0o700)
    threading.Thread(target=follow, args=(leader.joined_by(1), folder), daemon=True).start()
    team, bad = Team(2), STUDY.model_copy(update={"parameter_count": 5})
    with pytest.raises(RefusedError, match=r"Machine 1 of this site cannot train .* 4 parameters"):
        team.start(leader.followers.take(2), begin(2, 60), bad, len(PARAMETERS), lambda: (PARAMETERS,))
    team.close()


def without_landlock(self: TrainerProcess) -> TrainerProcess:
    raise RefusedError("This machine has no Landlock.")


def dead(self: TrainerProcess, *_: object, **__: object) -> None:
    raise TrainerFailedError("The trainer ended.")


@pytest.mark.parametrize(
    ("method", "fails", "shard_bytes", "why"),
    [
        ("__enter__", without_landlock, 10_000, "no Landlock"),
        ("prepare", dead, 10_000, "The trainer ended"),
        ("prepare", lambda *_, **__: None, 2**49, "no room for a part of the data"),
    ],
    ids=["landlock", "dead", "disk"],
)
def test_what_a_machine_lacks_it_says_on_its_screen_and_before_any_round(
    leader: Leader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    method: str,
    fails: Callable[..., object],
    shard_bytes: int,
    why: str,
) -> None:
    if method == "prepare":
        monkeypatch.setattr(TrainerProcess, "__enter__", lambda self: self)
    monkeypatch.setattr(TrainerProcess, method, fails)
    folder = tmp_path / "follower"
    folder.mkdir(mode=0o700)
    threading.Thread(target=follow, args=(leader.joined_by(1), folder), daemon=True).start()
    team = Team(2)
    with pytest.raises(RefusedError, match=f"Machine 1 of this site cannot train this study: .*{why}"):
        team.start(leader.followers.take(2), begin(2, 60, shard_bytes), STUDY, len(PARAMETERS), lambda: (PARAMETERS,))
    assert not any(link.failed_there for link in team._links)
    team.close()
    said: list[str] = []
    until(lambda: bool(said.append(capfd.readouterr().err) or why in "".join(said)))


def test_a_halt_before_the_machines_are_told_of_the_study_ends_it(leader: Leader) -> None:
    link, team = leader.joined_by(1), Team(2)
    team.cut()
    with pytest.raises(UnavailableError, match="did not prepare"):
        team.start(leader.followers.take(2), begin(2, 60), STUDY, 1, lambda: (b"x",))
    assert not team.is_complete
    with pytest.raises(UnavailableError):
        link.receive()
    team.close()
