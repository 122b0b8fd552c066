"""Letters are numbered without holes or repeats for each recipient, in the transaction that they tell of."""

import subprocess
import sys
from pathlib import Path

import pytest

from datasites.protocol.messages import CatalogReply
from datasites.store.outbox import Outgoing, enqueue, is_waiting, oldest, sent, waiting
from policies.errors import InvalidInputError
from tests.one_site import Scene
from tests.site_folder import NOW

REPOSITORY = Path(__file__).parents[3]
REPLY = CatalogReply(data_sets=(), total=0)

WRITER = """
import os, sys, time
from pathlib import Path
from datasites.protocol.messages import CatalogReply
from datasites.site import open_site
from datasites.store.home import Home
from datasites.store.outbox import enqueue
site = open_site(Home(Path(sys.argv[1])))
with site.engine.begin() as connection:
    enqueue(connection, sys.argv[2], CatalogReply(data_sets=(), total=0), 1)
    os.write(1, b"written\\n")
    time.sleep(600)
"""


def write(scene: Scene, recipient: str) -> None:
    with scene.site.engine.begin() as connection:
        enqueue(connection, recipient, REPLY, NOW, "a file")


def take(scene: Scene) -> Outgoing | None:
    with scene.site.engine.begin() as connection:
        letters = oldest(connection, (), 1)
        for letter in letters:
            sent(connection, [letter.identifier])
    return letters[0] if letters else None


def test_numbers_rise_by_one_for_each_recipient(scene: Scene) -> None:
    ada, eve = scene.researcher.party, scene.other_researcher.party
    for recipient in (ada, eve, ada, ada, eve):
        write(scene, recipient)
    found = [letter for letter in (take(scene) for _ in range(6)) if letter is not None]
    assert [(it.recipient, it.number) for it in found] == [(ada, 1), (eve, 1), (ada, 2), (ada, 3), (eve, 2)]
    assert all(it.has_blob for it in found)
    write(scene, ada)
    last = take(scene)
    assert last is not None
    assert last.number == 4


def test_a_change_that_is_undone_uses_no_number(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        enqueue(connection, scene.researcher.party, REPLY, NOW)
        connection.rollback()
    assert scene.count("outbox") == 0
    write(scene, scene.researcher.party)
    letter = take(scene)
    assert letter is not None
    assert letter.number == 1


def test_a_writer_killed_before_it_commits_uses_no_number(scene: Scene) -> None:
    party = scene.researcher.party
    write(scene, party)
    scene.site.engine.dispose()
    victim = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(scene.site.home.folder), party], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"written\n"
    victim.kill()
    victim.wait(timeout=30)
    victim.stdout.close()
    write(scene, party)
    numbers = [letter.number for letter in (take(scene), take(scene), take(scene)) if letter is not None]
    assert numbers == [1, 2]


def test_a_letter_stays_until_it_was_sent(scene: Scene) -> None:
    write(scene, scene.researcher.party)
    with scene.site.engine.begin() as connection:
        first, again = oldest(connection, (), 1), oldest(connection, (), 1)
    assert first == again
    assert [take(scene)] == first
    assert take(scene) is None


def test_nobody_writes_to_strangers(scene: Scene) -> None:
    with pytest.raises(InvalidInputError, match="is pinned here"):
        write(scene, "f" * 64)
    assert scene.count("outbox") == 0


def test_a_recipient_who_cannot_be_served_holds_up_nobody_else(scene: Scene) -> None:
    ada, eve = scene.researcher.party, scene.other_researcher.party
    write(scene, ada)
    write(scene, eve)
    with scene.site.engine.begin() as connection:
        letters = [next(iter(oldest(connection, without, 9)), None) for without in ((), (ada,), (ada, eve))]
        assert (waiting(connection, ada), waiting(connection, eve), waiting(connection, "f" * 64)) == (1, 1, 0)
    assert [None if it is None else it.recipient for it in letters] == [ada, eve, None]


def test_a_letter_is_known_to_wait_by_what_it_says(scene: Scene) -> None:
    ada, eve = scene.researcher.party, scene.other_researcher.party
    write(scene, ada)
    other = CatalogReply(data_sets=(), total=1)
    with scene.site.engine.begin() as connection:
        assert is_waiting(connection, ada, REPLY)
        assert not is_waiting(connection, eve, REPLY)
        assert not is_waiting(connection, ada, other)
    take(scene)
    with scene.site.engine.begin() as connection:
        assert not is_waiting(connection, ada, REPLY)
