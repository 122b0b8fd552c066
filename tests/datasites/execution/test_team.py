"""A leader and its followers train together what one trainer with all units trains, or end without an update."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datasites.catalog.checked_file import check_file
from datasites.catalog.shards import Dealt
from datasites.catalog.snapshot import CheckedSnapshot, open_snapshot, snapshot_commitment
from datasites.catalog.snapshot_layout import HEADER_BYTES, layout_in
from datasites.execution.cache_space import cache_file
from datasites.execution.follower import follow
from datasites.execution.follower_messages import Begin, Following, Shard
from datasites.execution.team import Team
from datasites.execution.trainer_messages import Loaded, Prepare, Round, message_frame, parse_message
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import TrainerFailedError
from datasites.sandbox.frames import Frame, read_frame, write_frame
from policies.errors import UnavailableError
from tests import frozen_study
from tests.machines import Leader, begin, listening, until
from tests.unit_arrays import UnitArrays, write_units

UNITS, KEY = 41, bytes(32)
MODEL = np.zeros(frozen_study.GIVEN, "<f4")
STUDY, PARAMETERS = frozen_study.study(), frozen_study.parameters()
ROUND = Round(number=1, trains=True, evaluates=True)


@pytest.fixture
def leader() -> Iterator[Leader]:
    with listening() as made:
        yield made


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[CheckedSnapshot]:
    random = np.random.default_rng(11)
    features = random.normal(size=(UNITS, 2, 3)).astype(np.float32)
    people = UnitArrays(features, features[..., 0] + 1, np.ones((UNITS, 2), bool))
    path = write_units(tmp_path / "whole.snapshot", people, people)
    path.chmod(0o400)
    with check_file(path) as file, open_snapshot(path, snapshot_commitment(file.sha256, KEY), KEY) as opened:
        yield opened


def trained(
    leader: Leader, snapshot: CheckedSnapshot, machines: int, rounds: int = 1, seconds: int = 60
) -> list[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """The changes and metrics of some rounds, as the datasite of a leader computes them."""
    team, folder = Team(machines), snapshot.path.parent
    process = TrainerProcess(memory_bytes=2**32, place=team.place, start_seconds=60, cache_bytes=2**24)
    found = []
    try:
        with process as trainer:
            trainer.prepare(STUDY, (PARAMETERS,), len(PARAMETERS), seconds=60)
            if machines > 1:
                links = leader.followers.take(machines)
                team.start(links, begin(machines, seconds), STUDY, len(PARAMETERS), lambda: (PARAMETERS,))
            assert trainer.cache_bytes
            with (
                team.dealt(snapshot, STUDY.size, folder, seconds) as part,
                cache_file(folder, trainer.cache_bytes) as it,
            ):
                trainer.load(part, it, seconds=seconds)
            for _ in range(rounds):
                team.round(ROUND, MODEL.nbytes, lambda: (MODEL.data,), seconds)
                try:
                    result = trainer.round((MODEL.data,), number=1, trains=True, evaluates=True, seconds=seconds)
                except TrainerFailedError as error:
                    raise team.judged(error) from error
                assert result.metrics is not None
                found.append((np.concatenate([block.copy() for block in result.update]), result.metrics))
                assert "seccomp" in team.common(result.layers)
    finally:
        team.close()
    return found


def test_two_machines_train_and_measure_what_one_does(
    leader: Leader, snapshot: CheckedSnapshot, tmp_path: Path
) -> None:
    """For two rounds after each other; each computes what is frozen once, for its own part, and keeps nothing."""
    link = leader.joined_by(1)
    folder = tmp_path / "follower"
    folder.mkdir(mode=0o700)
    following = threading.Thread(target=follow, args=(link, folder), daemon=True)
    following.start()
    together = trained(leader, snapshot, 2, rounds=2)
    ((change, metrics),) = trained(leader, snapshot, 1)
    assert float(np.linalg.norm(change)) > 0.01
    for other_change, other_metrics in together:
        np.testing.assert_allclose(other_change, change, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(other_metrics, metrics, rtol=1e-5)
    following.join(timeout=10)
    assert not following.is_alive()
    assert list(folder.iterdir()) == []


def test_a_machine_that_is_dealt_nobody_trains_along(
    leader: Leader, snapshot: CheckedSnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "follower"
    folder.mkdir(mode=0o700)
    nobody = Dealt(snapshot.layout, 2, np.zeros(snapshot.layout.units, np.uint8))
    monkeypatch.setattr("datasites.execution.team.deal", lambda *_: nobody)
    threading.Thread(target=follow, args=(leader.joined_by(1), folder), daemon=True).start()
    ((together, _),) = trained(leader, snapshot, 2)
    ((alone, _),) = trained(leader, snapshot, 1)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


def test_the_pieces_on_the_way_are_the_same_however_many_people_a_machine_got(
    leader: Leader, snapshot: CheckedSnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces are made so small here that there are some for each person."""
    monkeypatch.setattr("datasites.execution.sealed_link._PIECE_BYTES", 100)
    monkeypatch.setattr("datasites.catalog.shards._BYTES_AT_A_TIME", 700)
    seen = []
    for mine in (0, 1, 30):
        owners = np.zeros(snapshot.layout.units, np.uint8)
        owners[:mine] = 1
        monkeypatch.setattr("datasites.execution.team.deal", lambda *_, them=owners: Dealt(snapshot.layout, 2, them))
        pretender, team = Pretender(leader, nothing), Team(2)
        (link,) = leader.followers.take(2)
        lengths: list[int] = []
        true_send = link.send
        monkeypatch.setattr(link, "send", lambda it, to=lengths, send=true_send: (to.append(len(it)), send(it)))
        team.start([link], begin(2, 60), STUDY, 1, lambda: (b"x",))
        with team.dealt(snapshot, STUDY.size, tmp_path, 60):
            pass
        team.close()
        (shard,) = [it for it in pretender.got if len(it.body) > 100]
        assert layout_in(bytes(shard.body[:HEADER_BYTES])).units == mine
        seen.append(lengths)
    assert len(seen[0]) > 30
    assert seen[0] == seen[1] == seen[2]


class Pretender:
    """A follower that holds the secret, says what it should up to the first step, and then what a test wants."""

    def __init__(self, leader: Leader, then: Callable[["Pretender"], None]) -> None:
        self.link = leader.joined_by(1)
        self._own, far = socket.socketpair()
        self.end = self._own.fileno()
        self.got: list[Frame] = []
        threading.Thread(target=self.link.carry, args=(far,), daemon=True).start()
        threading.Thread(target=self._say, args=(then,), daemon=True).start()

    def _say(self, then: Callable[["Pretender"], None]) -> None:
        try:
            self.got += [self.hear(), self.hear()]
            write_frame(self.end, message_frame(Following(layers=("seccomp",), refusal=None)))
            self.got.append(self.hear())
            write_frame(self.end, message_frame(Loaded()))
            self.got.append(self.hear())
            then(self)
        except UnavailableError:
            pass

    def hear(self) -> Frame:
        return read_frame(self.end, maximum_body=2**22)

    def close(self) -> None:
        self._own.shutdown(socket.SHUT_RDWR)


def nothing(_: Pretender) -> None:
    """Stay, and say nothing."""


def gone(pretender: Pretender) -> None:
    pretender.link.cut()


def failed(pretender: Pretender) -> None:
    pretender.link.failed_here = True
    pretender.close()


@pytest.mark.parametrize(("then", "seconds", "again"), [(nothing, 3, False), (gone, 60, True)])
def test_there_is_no_update_without_a_follower_and_only_one_that_is_lost_is_an_interruption(
    leader: Leader, snapshot: CheckedSnapshot, then: Callable[[Pretender], None], seconds: int, again: bool
) -> None:
    """One that is late though its link is whole may be so for a record: nothing is computed again."""
    pretender = Pretender(leader, then)
    with pytest.raises(TrainerFailedError) as caught:
        trained(leader, snapshot, 2, seconds=seconds)
    assert caught.value.was_killed == again
    for kind, frame in zip((Begin, Prepare, Shard, Round), pretender.got, strict=True):
        parse_message(kind, frame)


def test_a_followers_trainer_that_failed_by_itself_is_no_interruption(leader: Leader) -> None:
    """It may have failed because of a record: that is told once, and computed again never."""
    pretender, team = Pretender(leader, nothing), Team(2)
    team.start(leader.followers.take(2), begin(2, 60), STUDY, 1, lambda: (b"x",))
    failed(pretender)
    until(lambda: team.is_broken)
    for error in (TrainerFailedError("ended"), TrainerFailedError("was killed", was_killed=True)):
        assert not team.judged(error).was_killed
    team.close()
