"""Letters with changed fields, from a pinned researcher, sent to a real site: each is taken whole, or not at all."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from datasites.protocol.blobs import BlobReference, seal_stream
from datasites.protocol.content import wrap
from datasites.protocol.messages import CatalogRequest, Message, RoundStart, SetupStart, StudyClose, parse_message
from datasites.serving.incoming import Incoming
from datasites.site import open_site
from datasites.store.home import Home
from policies.errors import CloisterError, InvalidInputError, UnavailableError
from policies.log.entries import LogEntry, MessageGap, MessageRefused, parse_entry
from policies.log.witness_entries import SignatureFailed
from tests.fuzz.forms import JSON, SAFETENSORS
from tests.fuzz.mutate import flip, mutate
from tests.fuzz.seeds import sealed
from tests.one_site import Scene, new_scene
from tests.one_study import INITIAL, OTHER_RUN, OTHER_STUDY, RUN, STUDY, model, whole

_LETTERS = 3
_TRIES = 40
_MOST_BYTES = 1 << 18
Tables = dict[str, list[dict[str, Any]]]


@dataclass
class Relay:
    """Gives content by its digest; the one thing of a mailbox that taking a letter needs."""

    blobs: dict[str, bytes]

    def get_blob(self, reference: BlobReference, _seconds: float) -> Iterator[bytes]:
        if reference.digest not in self.blobs:
            raise UnavailableError("The relay does not have this content.")
        yield self.blobs[reference.digest]


@pytest.fixture(scope="module")
def prepared() -> Iterator[Scene]:
    """A site with one study set up to run, and another approved."""
    with tempfile.TemporaryDirectory(prefix="site") as folder:
        scene = new_scene(Path(folder))
        scene.ready()
        scene.approved(OTHER_STUDY)
        scene.send_all()
        scene.site.engine.dispose()
        yield scene


def _documents(
    scene: Scene, content: dict[str, bytes], parameters: bytes, vector: bytes, in_letters: bool = True
) -> list[Message]:
    """What the researcher would write next; content that does not ride `in_letters` lies in `content`."""

    def upload(data: bytes) -> Any:
        if in_letters:
            return wrap(data)[0]
        ciphertext = bytearray()
        reference = seal_stream((data,), len(data), ciphertext.extend)
        content[reference.digest] = bytes(ciphertext)
        return reference

    third = scene.terms("3" * 32)
    other = scene.terms(OTHER_STUDY)
    return [
        CatalogRequest(),
        scene.submission(third, parameter_parts=whole(parameters), initial_parameters=upload(parameters)),
        SetupStart(study=OTHER_STUDY, run=OTHER_RUN, terms_digest=other.digest()),
        SetupStart(study=STUDY, run=RUN, terms_digest=scene.terms().digest()),
        RoundStart(study=STUDY, run=RUN, round=1, model=upload(vector)),
        StudyClose(study=OTHER_STUDY, reason="finished"),
    ]


def _tables(home: Home) -> Tables:
    """Every row of every table, byte for byte."""
    with closing(sqlite3.connect(home.folder / "datasite.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return {
            name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY rowid')]  # noqa: S608
            for (name,) in names
        }


def _new_entries(before: Tables, after: Tables) -> list[LogEntry]:
    known = before["log_entries"]
    assert after["log_entries"][: len(known)] == known, "the log only grows"
    return [parse_entry(row["entry"]) for row in after["log_entries"][len(known) :]]


def _without_correspondence(tables: Tables, party: str) -> Tables:
    """Without the log, the letters to be sent, and how far the numbering with `party` is."""
    numbers = {"incoming": 0, "outgoing": 0}
    peers = [{**row, **(numbers if row["party"] == party else {})} for row in tables["peers"]]
    rest = {name: rows for name, rows in tables.items() if name not in ("log_entries", "outbox", "sqlite_sequence")}
    return {**rest, "peers": peers}


@contextmanager
def _copied(prepared: Scene) -> Iterator[Scene]:
    """The same site once more, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="site") as folder:
        shutil.copytree(prepared.site.home.folder, Path(folder) / "home")
        scene = replace(prepared, site=open_site(Home(Path(folder) / "home"), prepared.clock))
        yield scene
        scene.site.engine.dispose()


def _incoming(scene: Scene, relay: Relay) -> Incoming:
    return Incoming(scene.site, relay)  # type: ignore[arg-type]  # of a mailbox it uses `get_blob` alone


def _variant(message: Message, random: Random) -> bytes:
    """`message` with changed fields, preferably so that it is still a message."""
    document = message.canonical()
    for _ in range(_TRIES):
        changed = mutate(document, JSON, random, lambda it: flip(it, random), _MOST_BYTES)
        try:
            parse_message(changed)
        except CloisterError:
            continue
        return changed
    return changed


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(seed=st.integers(0, 2**32 - 1))
def test_a_refused_letter_changes_nothing_but_the_log_and_the_correspondence(prepared: Scene, seed: int) -> None:
    random = Random(seed)
    with _copied(prepared) as scene:
        relay, ada, site = Relay({}), scene.researcher, scene.site
        incoming = _incoming(scene, relay)
        parameters = random.choice(
            (INITIAL, mutate(INITIAL, SAFETENSORS, random, lambda it: flip(it, random), _MOST_BYTES))
        )
        vector = random.choice((model(), flip(model(), random)))
        number = 0
        for _ in range(_LETTERS):
            message = random.choice(_documents(scene, relay.blobs, parameters, vector, random.random() < 0.5))
            payload = random.choice((message.canonical(), *[_variant(message, random)] * 4))
            number = max(1, number + random.choice((0, 1, 1, 1, 1, 3)))
            letter = sealed(ada, site.identity.card, number, payload)
            before = _tables(site.home)
            incoming.take(random.choice((letter, letter, letter, letter, flip(letter, random))))
            event(_check(before, _tables(site.home), ada.party))
        assert not scene.audit().broken


@pytest.mark.parametrize(
    ("place", "number"),
    [("datasites.requests.receive", 1), ("datasites.execution.setup", 2), ("datasites.requests.close", 5)],
)
def test_what_fails_at_its_last_step_is_undone(
    prepared: Scene, monkeypatch: pytest.MonkeyPatch, place: str, number: int
) -> None:
    def fail(*_arguments: object) -> None:
        raise InvalidInputError("It failed at the last step.")

    with _copied(prepared) as scene:
        relay, ada, site = Relay({}), scene.researcher, scene.site
        message = _documents(scene, relay.blobs, INITIAL, model())[number]
        before = _tables(site.home)
        with monkeypatch.context() as patched:
            patched.setattr(f"{place}.enqueue", fail)
            _incoming(scene, relay).take(sealed(ada, site.identity.card, 1, message.canonical()))
        between = _tables(site.home)
        _check(before, between, ada.party)
        assert [type(it) for it in _new_entries(before, between)] == [MessageRefused]
        _incoming(scene, relay).take(sealed(ada, site.identity.card, 2, message.canonical()))
        after = _tables(site.home)
        assert _without_correspondence(after, ada.party) != _without_correspondence(between, ada.party)


def _check(before: Tables, after: Tables, party: str) -> str:
    """What became of a letter, after making sure that it was that and nothing else."""
    new = _new_entries(before, after)
    refused = [entry for entry in new if isinstance(entry, MessageRefused)]
    if before == after:
        return "dropped"
    if before["failed_signatures"] != after["failed_signatures"]:
        counted = ("failed_signatures", "log_entries")
        assert {it: before[it] for it in before if it not in counted} == {
            it: after[it] for it in after if it not in counted
        }
        assert [type(entry) for entry in new] in ([], [SignatureFailed])
        return "not signed by whom it names"
    if not refused:
        (old, now) = (next(row for row in it["peers"] if row["party"] == party) for it in (before, after))
        assert now["incoming"] > old["incoming"], "what is taken has used its number up"
        return "taken"
    assert [type(entry) for entry in new] in ([MessageRefused], [MessageGap, MessageRefused])
    assert refused[0].reason != "This site could not handle the message.", "a defect met on the way"
    assert _without_correspondence(before, party) == _without_correspondence(after, party)
    written = after["outbox"][len(before["outbox"]) :]
    assert after["outbox"][: len(before["outbox"])] == before["outbox"]
    assert [row["recipient"] for row in written] in ([], [party])
    assert all(row["content_file"] is None for row in written), "a refusal carries no content"
    return "refused"
