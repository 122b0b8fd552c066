"""Wrong input through the public surface: one sentence that says what to do, its code or class, and nothing changed."""

import time
from collections.abc import Callable
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
from tests.conftest import CLINIC, HEADER
from tests.demo.commands import CommandFailedError, datasite
from tests.one_site import rows as visits
from tests.system.federation import LiveFederation, ask, cancel, send_to, wait_for_status
from tests.system.live_site import LiveSite
from tests.system.plans import BatchNormPlan, PeekingPlan, SmallPlan
from tests.system.waiting import SECONDS, content, eventually

ANNA = "anna-hospital"
PROBLEMS = "The table does not agree with its manifest. Mend these problems:\n"
PEOPLE = visits(100, first=7000)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `home` is a datasite with one data set, `clinic-a`, at ε=5."""
    folder = tmp_path_factory.mktemp("clinic")
    passphrase = folder / "passphrase"
    passphrase.write_text("three wards and a garden\n")
    passphrase.chmod(0o600)
    datasite("init", "--name", "Clinic A", "--relay", "http://127.0.0.1:9", "--contact", "owner@clinic-a.example",
             "--home", folder / "home", "--owner", folder / "owner", "--passphrase-file", passphrase)  # fmt: skip
    add(folder, "clinic-a", HEADER + "\n".join(visits(100)))
    return folder


def add(clinic: Path, name: str, table: str, manifest: str = CLINIC, epsilon: str = "5") -> Any:
    """`datasite data add`."""
    files = clinic / "manifest.toml", clinic / "table.csv"
    for file, text in zip(files, (manifest.replace('"clinic-a"', f'"{name}"'), table), strict=True):
        file.write_text(text)
    return datasite("data", "add", *files, "--epsilon", epsilon, "--home", clinic / "home")


def refusal(act: Callable[[], object]) -> tuple[int, str]:
    """With which exit code and sentence a command failed."""
    with pytest.raises(CommandFailedError) as caught:
        act()
    return caught.value.code, caught.value.sentence


def everything(home: Path) -> Any:
    """All that a datasite keeps: its database's rows, and its files."""
    files = (path for path in home.rglob("*") if path.is_file() and not path.name.startswith("datasite.sqlite"))
    return content(home / "datasite.sqlite"), {path: path.read_bytes() for path in files}


def with_cells(*cells: tuple[int, int, str]) -> str:
    """The table of `PEOPLE` with other cells, each given by row of the file, place in the row and text."""
    rows = [row.split(",") for row in PEOPLE]
    for row, place, text in cells:
        rows[row - 2][place] = text
    return HEADER + "\n".join(map(",".join, rows))


WRONG_TABLES = {
    "wrong cells": (
        with_cells((9, 3, "tomato"), (11, 1, "forty-two"), (13, 1, "42.625"), (17, 2, "NaN"), (19, 2, "1e999"),
                   (23, 1, "97713"), (29, 2, ""), (31, 0, ""), (37, 0, "  ")),
        PROBLEMS + "  row 9: column 'blood' is not one of the declared categories\n"
        "  row 11: column 'age' is not a decimal number\n"
        "  row 13: column 'age' is not a whole number\n"
        "  row 17: column 'pressure' is not a decimal number\n"
        "  row 19: column 'pressure' is outside the declared bounds 60.0 to 220.0\n"
        "  row 23: column 'age' is outside the declared bounds 18 to 98\n"
        "  row 29: column 'pressure' is empty\n"
        "  row 31: the privacy unit is empty, longer than 200, or holds invisible characters\n"
        "  row 37: the privacy unit is empty, longer than 200, or holds invisible characters",
    ),
    "an empty file": ("", PROBLEMS + "  row 1: the file is empty; a header and rows are expected"),
    "no rows": (HEADER, PROBLEMS + "  row 1: the header is followed by no rows"),
    "an unknown column": (
        HEADER.replace("age", "age,serology") + "\n".join(row.replace(",", ",positive,", 1) for row in PEOPLE),
        PROBLEMS + "  row 1: column 3 of the header is not in the manifest; remove or declare it",
    ),
    "a column too few": (
        HEADER.replace(",ill", "") + "\n".join(row.rpartition(",")[0] for row in PEOPLE),
        PROBLEMS + "  row 1: column 'ill' of the manifest is missing",
    ),
    "a row cut short": (
        HEADER + "\n".join([*PEOPLE, "p7999,44"]),
        PROBLEMS + "  row 102: does not have 5 fields; check commas and quotes",
    ),
    "49 people, many visits": (
        HEADER + "\n".join([row for row in PEOPLE[:49] for _ in range(3)]),
        "The table has fewer than 50 units, too few to hide anybody among them.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", WRONG_TABLES)
def test_a_table_that_disagrees_is_refused_without_its_cells(clinic: Path, table: str) -> None:
    text, sentence = WRONG_TABLES[table]
    before = everything(clinic / "home")
    assert refusal(lambda: add(clinic, "clinic-n", text)) == (2, sentence)
    cells = {cell for line in text.splitlines()[1:] for cell in line.split(",")} | {"serology"}
    assert not [cell for cell in cells if len(cell) > 4 and cell in sentence]
    assert everything(clinic / "home") == before


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("maximum = 98", "maximum = 12", "columns.0"),
        ("minimum = 60.0", "minimum = nan", "manifest"),
        ('target = "ill"', 'target = "sick"', "target is not one of the columns"),
        ("nominal_units = 100", "nominal_units = 1000", "declare the right order of size"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_by_its_field(clinic: Path, old: str, new: str, names: str) -> None:
    before = everything(clinic / "home")
    code, sentence = refusal(lambda: add(clinic, "clinic-n", with_cells(), CLINIC.replace(old, new, 1)))
    assert (code, sentence.count("\n")) == (2, 0)
    assert names in sentence
    assert everything(clinic / "home") == before


def test_the_same_people_under_another_name_share_one_budget_and_no_other(clinic: Path) -> None:
    first = datasite("budget", "--home", clinic / "home")[0]
    respelled = HEADER + "\n".join(f" {row.replace(',', ' ,', 1)}" for row in reversed(visits(100)))
    before = everything(clinic / "home")
    assert refusal(lambda: add(clinic, "clinic-b", respelled, epsilon="6")) == (
        3,
        "People of this table have a lifetime budget of ε=5 already, and a budget never changes: register it with "
        "--epsilon 5, and it draws on the same budget.",
    )
    assert everything(clinic / "home") == before
    assert add(clinic, "clinic-b", respelled)["population"] == first["population"]
    (shared,) = datasite("budget", "--home", clinic / "home")
    assert shared == {**first, "data_sets": ["clinic-a", "clinic-b"]}


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (BatchNormPlan(), r"^The model's '1' is a BatchNorm1d, which mixes the records of a batch; use nn\.LayerNorm"),
        (PeekingPlan(), r"torch\.where"),
    ],
    ids=["batch statistics", "a branch on a value"],
)
def test_a_plan_that_cannot_be_exported_sends_nothing(live: LiveFederation, plan: SmallPlan, sentence: str) -> None:
    assert live.data_sets

    def sent() -> Any:
        passed = b"".join(live.proxy.recorded())
        return passed.count(b"POST /mail"), passed.count(b"PUT /blobs"), content(live.folder / "ada" / "state.sqlite")

    before = sent()
    with pytest.raises(InvalidInputError, match=sentence):
        live.ada.submit(plan, live.data_sets, ask())
    assert sent() == before


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
    # A relay in league with eve carries a letter under ada's name and next number, signed by eve.
    forger = replace(eve.identity, card=live.ada.card)
    state = live.ada.correspondence.state
    anna_card = next(it for it in live.ada.sites if it.name == ANNA)
    with state.transaction() as connection:
        (sent,) = connection.execute("SELECT outgoing FROM sites WHERE party = ?", (anna_card.party,)).fetchone()
    live.ada.correspondence.mailbox.send([seal(forger, anna_card, sent + 1, CatalogRequest())])
    eventually(lambda: "signature" in anna.printed().partition(dropped)[2], "anna dropping the forged letter")
    assert content(anna.database) == before
    assert look_round(live.ada.correspondence, SECONDS), "the forged letter must not use up ada's number"


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
