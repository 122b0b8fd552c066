"""Who joins a leader: machines that hold the secret, one for each rank, and nobody else."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.execution.follower import main
from datasites.execution.sealed_link import SealedLink
from datasites.protocol.private_files import write_private_file
from policies.errors import CloisterError, InvalidInputError, UnavailableError
from tests.machines import Leader, listening, until


@pytest.fixture
def leader() -> Iterator[Leader]:
    with listening() as made:
        yield made


@pytest.mark.parametrize(
    ("rank", "leader_at", "why"),
    [("63", "h:7400", "RANK is 63"), ("0", "h:70000", "HOST:PORT"), ("0", "h", "HOST:PORT")],
)
def test_a_machine_that_cannot_join_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str, leader_at: str, why: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    write_private_file(tmp_path / "secret", bytes(32))
    with pytest.raises(InvalidInputError, match=why):
        main(leader_at, str(tmp_path / "secret"), str(tmp_path / "follower"))


def test_who_joins_twice_as_one_machine_gets_one_part(leader: Leader) -> None:
    """The newer one is taken: the older may have lost its machine without a word."""
    older = leader.joined_by(1)
    newer = leader.joined_by(1)
    with pytest.raises(UnavailableError):
        older.receive()
    (taken,) = leader.followers.take(2)
    taken.send(b"a part")
    assert newer.receive() == b"a part"
    assert leader.followers.missing(2) == [1]


def test_a_neighbour_without_the_secret_is_never_taken_for_a_machine(leader: Leader) -> None:
    with pytest.raises(CloisterError):
        leader.joined_by(1, secret=bytes(32))
    with pytest.raises(UnavailableError, match="Not all"):
        leader.followers.take(2)


def test_a_machine_that_left_is_missing_again_and_so_is_one_that_speaks_unasked(leader: Leader) -> None:
    left, speaks = leader.joined_by(1), leader.joined_by(2)
    left.close()
    speaks.send(b"a round, please")
    until(lambda: leader.followers.missing(3) == [1, 2])
    with pytest.raises(UnavailableError, match="Not all"):
        leader.followers.take(2)


def test_there_is_no_machine_of_the_leaders_own_number_or_beyond_the_most(leader: Leader) -> None:
    for rank in (0, 64):
        link = SealedLink(socket.create_connection(leader.address), leader.secret, rank=rank, calls=True, seconds=5)
        with pytest.raises(UnavailableError):
            link.receive()
