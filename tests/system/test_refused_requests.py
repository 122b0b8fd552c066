"""Wrong requests, strangers and replays at a live federation: one sentence says what to do, and nothing is changed."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import researcher
from datasites.protocol.envelope import seal
from datasites.protocol.messages import CatalogRequest
from datasites.protocol.relay_wire import Fate
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError, UnavailableError
from policies.terms import Terms
from researcher import Privacy, Study
from researcher.catalog import look_round
from researcher.export import ExportedPlan
from researcher.submission import draft_terms
from tests.demo.commands import datasite
from tests.system.federation import LiveFederation, ask, cancel, send_to, wait_for_status
from tests.system.live_site import LiveSite
from tests.system.plans import BatchNormPlan, PeekingPlan, SmallPlan
from tests.system.waiting import SECONDS, content, eventually

ANNA = "anna-hospital"


def requests_by(party: str, passed: bytes, what: bytes) -> int:
    """How many requests of this kind a member signed; the sites' own mail passes on the same line."""
    heads = (part.split(b"\r\n\r\n", 1)[0] for part in passed.split(what)[1:])
    return sum(f"cloister-party: {party}".encode() in head.lower() for head in heads)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (
            BatchNormPlan(),
            r"^The model's '1' is a BatchNorm1d \(plans\.py:\d+ .*\), which mixes the records of a batch; use nn",
        ),
        (PeekingPlan(), r"torch\.where"),
    ],
    ids=["batch statistics", "a branch on a value"],
)
def test_a_plan_that_cannot_be_exported_sends_nothing(live: LiveFederation, plan: SmallPlan, sentence: str) -> None:
    assert live.data_sets

    def sent() -> Any:
        passed = b"".join(live.proxy.recorded())
        asked = [requests_by(live.ada.card.party, passed, what) for what in (b"POST /mail", b"PUT /blobs")]
        return asked, content(live.folder / "ada" / "state.sqlite")

    before = sent()
    with pytest.raises(InvalidInputError, match=sentence):
        live.ada.submit(plan, live.data_sets, ask())
    assert sent() == before
    assert before[0][0] > 0, "what she sent before is seen"


def written(site: LiveSite) -> Any:
    """What requests have left behind at a site."""
    return content(site.database, "requests", "reservations", "charges", "runs", "rounds")


def terms_by(author: researcher.Federation, live: LiveFederation, exported: ExportedPlan, **wishes: Any) -> Terms:
    """A researcher's terms over the three sites."""
    return draft_terms(author.identity.party, exported, live.data_sets, ask(**wishes))


def test_crafted_requests_are_refused_with_their_reason(live: LiveFederation, exported: ExportedPlan) -> None:
    anna, terms = live.sites[ANNA], terms_by(live.ada, live, exported)
    other_loss = exported.loss.canonical().replace(b'"reduction":"mean"', b'"reduction":"sum"', 1).decode()
    assert other_loss != exported.loss.canonical().decode()
    crafted: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        (
            {"privacy": Privacy(epsilon=0.5, delta=1e-6)},
            {},
            r"The terms promise ε=0\.5, and their noise, sampling rate and steps give ε=(0\.9\d*|1); raise the noise "
            r"multiplier or take fewer steps\.",
        ),
        (
            {"expires_at": int(time.time())},
            {},
            r"The study has expired; submit it again with a later expiry\.",
        ),
        (
            {"researcher": live.data_sets[1].site.party},
            {},
            r"The terms name another researcher than the one who signed the message\.",
        ),
        (
            {},
            {"loss_program": other_loss},
            r"The loss program that arrived is not the one whose digest the terms carry\.",
        ),
        (
            {},
            {"source": exported.source + "# harmless\n"},
            r"The source that arrived is not the one whose digest the terms carry\.",
        ),
    ]
    before = written(anna)
    for number, (changes, in_message, sentence) in enumerate(crafted):
        its_terms = terms.model_copy(update={"study": f"{number:032x}", **changes})
        study = live.submit_to(ANNA, its_terms, exported, **in_message)
        wait_for_status(study, [ANNA], "refused")
        with pytest.raises(RefusedError, match=rf"^The study cannot run\. {ANNA}: {sentence}$"):
            study.wait(0)
    assert written(anna) == before


def test_a_stranger_is_turned_away_by_the_relay_and_by_the_sites(
    live: LiveFederation, exported: ExportedPlan, tmp_path: Path
) -> None:
    anna = live.sites[ANNA]
    eve = researcher.connect(tmp_path / "eve", name="dr-eve", relay=live.proxy.url)
    for site in live.sites.values():
        eve.pin(site.site.card, datasite("card", "--home", site.home)["fingerprint"])
    with pytest.raises(NotAuthenticError, match=r"^The relay refused this identity; have its operator admit your card"):
        send_to(eve, anna, terms_by(eve, live, exported), exported)

    card = tmp_path / "eve-card.json"
    card.write_bytes(eve.card.canonical())
    datasite("relay", "admit", live.relay_folder, card)
    before = content(anna.database)
    study = send_to(eve, anna, terms_by(eve, live, exported), exported)
    dropped = f"A letter was dropped: This letter names {eve.card.party[:16]}… as its sender, whom nobody has pinned"
    eventually(lambda: dropped in anna.printed(), "anna dropping eve's letter")
    with pytest.raises(UnavailableError, match=rf"^No decision yet from {ANNA}, .*; wait again later\.$"):
        study.wait(0.5)
    assert content(anna.database) == before
    # A relay in league with eve carries a letter under ada's name and next number, signed by eve.
    forger = replace(eve.identity, card=live.ada.card)
    state = live.ada.correspondence.state
    anna_card = next(it for it in live.ada.sites if it.name == ANNA)
    with state.transaction() as connection:
        (sent,) = connection.execute("SELECT outgoing FROM sites WHERE party = ?", (anna_card.party,)).fetchone()
    live.ada.correspondence.mailbox.send([seal(forger, anna_card, sent + 1, CatalogRequest())])
    eventually(lambda: "signature" in anna.printed().partition(dropped)[2], "anna dropping the forged letter")
    assert logged_of_forgery(before, content(anna.database)) == live.ada.card.party
    assert look_round(live.ada.correspondence, SECONDS), "the forged letter must not use up ada's number"


def logged_of_forgery(before: Any, after: Any) -> str:
    """In whose name a forged letter came, as the log says, after making sure that it changed nothing else."""
    assert {name for name in after if after[name] != before[name]} == {"failed_signatures", "log_entries"}
    (counted,) = set(after["failed_signatures"]) - set(before["failed_signatures"])
    (row,) = set(after["log_entries"]) - set(before["log_entries"])
    entry = json.loads(row[1])
    assert (entry["kind"], entry["unlogged"]) == ("signature-failed", 0)
    assert counted[0] == entry["claimed"]
    return str(entry["claimed"])


def test_a_replayed_letter_has_one_effect(
    live: LiveFederation, exported: ExportedPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, mailbox = live.sites[ANNA], live.ada.correspondence.mailbox
    letters: list[bytes] = []
    send = mailbox.send

    def send_twice(envelopes: list[bytes]) -> list[Fate]:
        letters.extend(envelopes)
        send(envelopes)
        return send(envelopes)

    def noted(study: Study) -> int:
        entries = [bytes(row["entry"]) for row in anna.rows("SELECT entry FROM log_entries")]
        return sum(b'"request-received"' in entry and study.identifier.encode() in entry for entry in entries)

    monkeypatch.setattr(mailbox, "send", send_twice)
    study = live.submit_to(ANNA, terms_by(live.ada, live, exported), exported)
    wait_for_status(study, [ANNA], "pending")
    monkeypatch.undo()
    cancel(study, [anna])
    before, replays = written(anna), anna.printed().count("a replay or out of order; it was ignored")
    send(letters[:1])
    assert look_round(live.ada.correspondence, SECONDS), "sent after the replay, answered after it was taken"
    assert anna.printed().count("a replay or out of order; it was ignored") == replays + 1
    assert written(anna) == before
    assert noted(study) == 1
