"""The researcher's state file: pins that never change hands, and numbers that survive whatever ends the kernel."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from datasites.protocol.identity import Identity, IdentityCard, parse_card
from policies.errors import ConflictError, InvalidInputError
from policies.statements.canonical import canonical_bytes
from policies.statements.signed import sign
from researcher.state import State

REPOSITORY = Path(__file__).parents[2]

COUNTING = """
import os, sys
from pathlib import Path
from researcher.state import State
state = State(Path(sys.argv[1]))
while True:
    os.write(1, b"%d\\n" % state.next_numbers([sys.argv[2]])[sys.argv[2]])
"""

OLD_STUDIES = """
DROP TABLE stopping_rules;
DROP TABLE studies;
CREATE TABLE studies (
    study TEXT PRIMARY KEY, terms TEXT NOT NULL, loss_program TEXT NOT NULL, metrics_program TEXT NOT NULL,
    source TEXT NOT NULL, run TEXT, roster TEXT, round INTEGER NOT NULL DEFAULT 0, history TEXT NOT NULL DEFAULT '[]'
) STRICT;
INSERT INTO studies (study, terms, loss_program, metrics_program, source, round)
VALUES ('11111111111111111111111111111111', '{}', '{}', '{}', '…', 3);
"""


def next_number(state: State, site: Identity) -> int:
    return state.next_numbers([site.party])[site.party]


@pytest.fixture
def site(tmp_path: Path) -> Identity:
    return Identity.create(tmp_path / "bern", "bern", "datasite", bytes(range(32)))


@pytest.fixture
def state(tmp_path: Path, site: Identity) -> State:
    made = State(tmp_path / "state.sqlite")
    made.pin(site.card)
    return made


def renamed(identity: Identity, name: str) -> IdentityCard:
    fields = {**identity.card.model_dump(mode="json", exclude={"signature"}), "name": name}
    return parse_card(
        canonical_bytes({**fields, "signature": sign(identity.signing, "card", canonical_bytes(fields)).hex()})
    )


def test_the_file_is_closed_to_other_accounts(state: State, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "state.sqlite").stat().st_mode) == 0o600


def test_a_folder_from_before_there_was_early_stopping_opens_and_takes_studies(state: State, tmp_path: Path) -> None:
    state.close()
    columns = {"terms": "{}", "loss_program": "{}", "metrics_program": "{}", "source": "…"}
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        connection.executescript(OLD_STUDIES)
    opened = State(tmp_path / "state.sqlite")
    opened.add_study("2" * 32, columns, b"", b"", None, "{}")
    assert opened.study("1" * 32)["stopping_rule"] is None
    assert (opened.study("2" * 32)["stopping_rule"], opened.study("2" * 32)["round"]) == ("{}", 0)
    assert opened.study("1" * 32)["round"] == 3


def test_numbers_go_on_after_a_restart(state: State, site: Identity, tmp_path: Path) -> None:
    assert [next_number(state, site) for _ in range(3)] == [1, 2, 3]
    assert next_number(State(tmp_path / "state.sqlite"), site) == 4


def test_no_number_is_given_twice_though_the_process_is_killed(state: State, site: Identity, tmp_path: Path) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", COUNTING, str(tmp_path / "state.sqlite"), site.party],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert victim.stdout is not None
    told = [int(victim.stdout.readline()) for _ in range(10)]
    os.kill(victim.pid, signal.SIGKILL)
    told += [int(line) for line in victim.stdout.read().split()]
    victim.wait(timeout=30)
    victim.stdout.close()
    assert told == list(range(1, len(told) + 1))
    assert next_number(state, site) in (len(told) + 1, len(told) + 2)


def test_a_number_is_taken_once(state: State, site: Identity, tmp_path: Path) -> None:
    def take(number: int) -> None:
        with State(tmp_path / "state.sqlite").transaction() as connection:
            state.take_number(connection, site.party, number)

    take(1)
    take(5)
    for replay in (5, 1, 4):
        with pytest.raises(ConflictError):
            take(replay)
    take(6)


def test_what_fails_is_undone_with_its_number(state: State, site: Identity) -> None:
    def fail() -> None:
        with state.transaction() as connection:
            state.take_number(connection, site.party, 9)
            connection.execute("INSERT INTO statuses (study, site, status, detail) VALUES ('s', 'x', 'y', 'z')")

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    with state.transaction() as connection:
        state.take_number(connection, site.party, 9)


def test_a_pin_is_found_by_its_party_and_again_changes_nothing(state: State, site: Identity) -> None:
    next_number(state, site)
    state.pin(site.card)
    assert state.sites() == {site.party: site.card}
    assert next_number(state, site) == 2


def test_neither_a_name_nor_keys_change_hands(state: State, site: Identity, tmp_path: Path) -> None:
    impostor = Identity.create(tmp_path / "impostor", "bern", "datasite", bytes(range(1, 33)))
    other = Identity.create(tmp_path / "cadiz", "cadiz", "datasite", bytes(range(2, 34)))
    state.pin(other.card)
    for card in (impostor.card, renamed(site, "basel"), renamed(site, "cadiz")):
        with pytest.raises(ConflictError):
            state.pin(card)
    assert state.sites() == {site.party: site.card, other.party: other.card}


def test_a_researchers_card_is_no_sites(state: State, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        state.pin(Identity.create(tmp_path / "eve", "eve", "researcher").card)
