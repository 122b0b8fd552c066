"""What must hold after any number of kills: charges, answers, sums, files and log, read from disk and added up anew."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from datasites.protocol.content import unwrap
from datasites.protocol.messages import MaskedUpdateMessage, parse_message
from datasites.secure_averaging.layout import decode, vector_length
from policies.budget.costs import round_mechanisms
from policies.terms import Terms
from researcher.strategies.fedavg import federated_average
from tests.system.kill_scene import KillScene
from tests.system.live_site import LiveSite
from tests.system.waiting import eventually, rows

_OF_STUDY = "FROM rounds JOIN requests ON request = digest WHERE study = ?"


def assert_sound(scene: KillScene, finished: bool = True) -> int:
    """Check every promise of P6 for the scene's study; gives how many rounds were computed again, at all sites."""
    scene.end_researcher()
    live, study = scene.live, scene.study
    if finished:
        for site in live.sites.values():
            eventually(lambda site=site: _status(site, study.identifier) == "done", f"the study's end at {site.name}")
    again = sum(_assert_one_answer_a_charge(site, study.terms, finished) for site in live.sites.values())
    assert_sums_exact(scene)
    for site in live.sites.values():
        eventually(lambda site=site: not site.rows("SELECT 1 FROM outbox"), f"an empty outbox at {site.name}")
        if finished:
            eventually(lambda site=site: not site.trainers(), f"no trainers at {site.name}")
            assert site.training()["reserved"] == 0
        eventually(lambda site=site: not strays(site), f"no file without a row at {site.name}: {strays(site)}")
        assert not site.audit().broken, site.name
    assert_relay_holds_what_it_says(live.relay_folder)
    return again


def _assert_one_answer_a_charge(site: LiveSite, terms: Terms, finished: bool) -> int:
    """One computation and one release a round, by the log; a charge for each attempt, by ledger and log alike."""
    entries = log_entries(site, terms.digest())
    computed = Counter(it["round"] for it in entries if it["kind"] == "round-computed")
    released = Counter(it["round"] for it in entries if it["kind"] == "update-released")
    assert set(computed.values()) <= {1}, f"{site.name} computed a round twice: {computed}"
    assert set(released.values()) <= {1}, f"{site.name} released a round twice: {released}"
    assert released.keys() <= computed.keys()
    attempts = {row["round"]: row["attempt"] for row in site.rows(f"SELECT round, attempt {_OF_STUDY}", terms.study)}
    states = {row["round"]: row["state"] for row in site.rows(f"SELECT round, state {_OF_STUDY}", terms.study)}
    assert {number for number, state in states.items() if state == "computed"} == computed.keys()
    if finished:
        assert sorted(released) == list(range(1, terms.sums + 1)), f"{site.name} did not release every round"
    expected = Counter(
        {
            (f"round {number}", attempt, partition): 1
            for number, last in attempts.items()
            for attempt in range(1, last + (states[number] != "asked"))
            for partition in round_mechanisms(terms, number)
        }
    )
    charged = "SELECT step, attempt, partition FROM charges WHERE request = ?"
    assert Counter(map(tuple, site.rows(charged, terms.digest()))) == expected, f"charges at {site.name}"
    logged = Counter((it["step"], it["attempt"], it["partition"]) for it in entries if it["kind"] == "charge-made")
    assert logged == expected, f"charges in the log of {site.name}"
    again = sum(attempts.values()) - len(attempts)
    assert again <= terms.training.retries
    return again


def assert_sums_exact(scene: KillScene) -> None:
    """Add up the sites' stored answers modulo 2³², and repeat the averaging: it gives the researcher's model.

    The model must be the same bit by bit, and the metrics in the history those of the same sums.
    """
    terms, state = scene.study.terms, scene.live.ada.correspondence.state
    history = json.loads(state.study(scene.study.identifier)["history"])
    assert [it["round"] for it in history] == list(range(1, scene.round() + 1)), "each round stands there once"
    model = scene.initial.copy()
    for record in history:
        number = record["round"]
        total = np.zeros(vector_length(terms, number), "<u4")
        for site in scene.live.sites.values():
            total += stored_answer(site, terms, number)
        opened = decode(terms, number, total)
        if opened.update is not None:
            federated_average(model, opened.update)
        assert (record["metrics"] is None) == (opened.metrics is None)
        if opened.metrics is not None:
            shown = [float(np.clip(good / max(good + bad, 1.0), 0, 1)) for good, bad in opened.metrics.reshape(-1, 2)]
            assert [it["value"] for it in record["metrics"].values()] == shown
    assert model.tobytes() == state.model(scene.study.identifier).tobytes()
    assert model.tobytes() != scene.initial.tobytes() or not history


def stored_answer(site: LiveSite, terms: Terms, number: int) -> Any:
    """A site's masked vector of a round, uint32 [length], as its answer to the researcher still stands on its disk."""
    (row,) = site.rows(f"SELECT message {_OF_STUDY} AND round = ?", terms.study, number)
    message = parse_message(row["message"].encode())
    assert isinstance(message, MaskedUpdateMessage)
    length = vector_length(terms, number)

    def sealed(reference: Any) -> Iterable[bytes]:
        return (contents(site).joinpath(reference.digest).read_bytes(),)

    return np.frombuffer(b"".join(unwrap(message.update, 4 * length, sealed)), "<u4")


def contents(site: LiveSite) -> Path:
    """The folder of what is too large for its rows."""
    return site.home / "contents"


def strays(site: LiveSite) -> set[str]:
    """Files of a site's content folder to which no row refers."""
    queries = (
        "SELECT parameters_file FROM requests",
        "SELECT model_file FROM rounds",
        "SELECT update_file FROM rounds",
        "SELECT content_file FROM outbox",
    )
    referred = {row[0] for query in queries for row in site.rows(query)}
    return {path.name for path in contents(site).iterdir()} - referred


def assert_relay_holds_what_it_says(folder: Path) -> None:
    """Every blob in the relay's database lies whole in its folder, and every file there has a row."""
    database = folder / "relay.sqlite"
    blobs = {row["digest"]: row["size"] for row in rows(database, "SELECT digest, size FROM blobs")}
    parts = {f"{row['digest']}-{row['uploader']}" for row in rows(database, "SELECT digest, uploader FROM uploads")}
    files = {path.name: path.stat().st_size for path in (folder / "blobs").iterdir()}
    assert {name: size for name, size in files.items() if name not in parts} == blobs


def log_entries(site: LiveSite, request: str) -> list[dict[str, Any]]:
    """A site's log entries about a request, in order."""
    stored = site.rows("SELECT entry FROM log_entries ORDER BY position")
    entries = [json.loads(bytes(row["entry"])) for row in stored]
    return [it for it in entries if it.get("request") == request]


def _status(site: LiveSite, study: str) -> str:
    (row,) = site.rows("SELECT status FROM requests WHERE study = ?", study)
    return str(row["status"])
