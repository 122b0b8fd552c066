"""The owner's commands: what they print, what they change, and the exit code of each kind of failure."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from datasites.cli.main import app
from datasites.protocol.identity import Identity
from datasites.requests.records import Status
from datasites.site import open_site
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY, STUDY
from tests.site_folder import PASSPHRASE, write_manifest, write_table


class Owner:
    """Types commands at the scene's datasite, whose commands live in the scene's time."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self.folder = folder
        self.passphrase = folder / "passphrase"
        self.passphrase.write_bytes(PASSPHRASE + b"\n")
        self.passphrase.chmod(0o600)

    def types(self, *words: str | Path, input_: str | None = None) -> Result:
        arguments = [str(word) for word in words]
        at = [] if arguments[0] in ("verify", "relay") else ["--home", str(self.scene.site.home.folder)]
        return CliRunner().invoke(app, [*arguments, *at], input=input_)

    def asks(self, *words: str | Path) -> Any:
        result = self.types(*words, "--json")
        assert result.exit_code == 0, result.output
        assert result.stdout.count("\n") == 1
        return json.loads(result.stdout)

    def decides(self, *words: str | Path) -> Result:
        return self.types(*words, "--key-folder", self.scene.owner, "--passphrase-file", self.passphrase)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = new_scene(tmp_path)
    monkeypatch.setattr("datasites.cli.options.open_site", lambda home: open_site(home, made.clock))
    return made


@pytest.fixture
def owner(scene: Scene, tmp_path: Path) -> Owner:
    return Owner(scene, tmp_path)


def failure(result: Result) -> dict[str, Any]:
    assert result.stdout == ""
    found: dict[str, Any] = json.loads(result.stderr)
    assert found["exit_code"] == result.exit_code
    assert "Traceback" not in result.stderr
    return found


def test_a_request_is_listed_shown_and_approved_by_the_digest_that_show_printed(owner: Owner) -> None:
    scene = owner.scene
    request = scene.submit()
    (listed,) = owner.asks("requests")
    assert (listed["number"], listed["study"], listed["status"]) == (1, STUDY, "pending")
    assert listed["researcher"] == "ada"
    shown = owner.asks("show", "1")
    assert shown["approval_digest"] == scene.shown_digest(request)
    assert shown["terms"] == request.terms.model_dump(mode="json")
    assert (shown["source"], shown["obstacles"]) == (request.source, [])
    result = owner.decides("approve", shown["approval_digest"])
    assert result.exit_code == 0, result.output
    assert "approved" in result.stdout
    assert scene.request(request.digest).status is Status.APPROVED
    again = owner.decides("approve", shown["approval_digest"])
    assert again.exit_code == 3
    assert "No pending request" in again.stderr


def test_people_are_shown_what_they_decide_on(owner: Owner) -> None:
    request = owner.scene.submit()
    result = owner.types("show", "1")
    assert result.exit_code == 0
    printed = " ".join(result.stdout.split())
    for part in ("Sepsis", "Early warning", "ada", "binary_cross_entropy_with_logits", "sigmoid", "class Plan"):
        assert part in printed
    assert f"datasite approve {owner.scene.shown_digest(request)}" in printed


def test_text_of_a_researcher_is_never_markup(owner: Owner) -> None:
    owner.scene.submit(title="[bold red]Approved[/] by the board", purpose="[link=http://x]care[/link] [/]")
    for command in (("show", "1"), ("requests",)):
        result = owner.types(*command)
        assert result.exit_code == 0, result.output
        assert "[bold" in result.stdout


def test_a_denial_needs_a_number_and_a_reason(owner: Owner) -> None:
    request = owner.scene.submit()
    assert owner.decides("deny", "1").exit_code == 2
    assert owner.decides("deny", "9", "--reason", "no").exit_code == 2
    result = owner.decides("deny", "1", "--reason", "not for us")
    assert result.exit_code == 0, result.output
    assert owner.scene.request(request.digest).status is Status.DENIED
    assert owner.decides("deny", "1", "--reason", "again").exit_code == 5


def test_a_question_is_asked_and_shown(owner: Owner) -> None:
    owner.scene.submit()
    result = owner.decides("ask", "1", "Why [b]six[/b] columns?", "--json")
    assert json.loads(result.stdout) == {"number": 1, "question": 1}
    (shown,) = owner.asks("show", "1")["questions"]
    assert (shown["by"], shown["question"], shown["answer"]) == ("the owner", "Why [b]six[/b] columns?", None)
    printed = " ".join(owner.types("show", "1").stdout.split())
    assert "Questions to the researcher" in printed
    assert "no answer yet" in printed
    assert owner.decides("ask", "1", "Why\u200b?").exit_code == 2
    assert owner.decides("ask", "9", "Why?").exit_code == 2


@pytest.mark.parametrize("reason", ["", "x" * 4000, "a\x1b[2Jb"])
def test_whatever_the_reason_the_denial_is_told(owner: Owner, reason: str) -> None:
    request = owner.scene.submit()
    result = owner.decides("deny", "1", "--reason", reason)
    assert result.exit_code == 0, result.output
    after = owner.scene.request(request.digest)
    assert after.status is Status.DENIED
    assert reason[:1500] in after.detail or "\ufffd" in after.detail
    assert owner.scene.letters()[-1].detail == after.detail


def test_a_wrong_passphrase_decides_nothing(owner: Owner) -> None:
    request = owner.scene.submit()
    owner.passphrase.write_bytes(b"three wards and a gardener")
    result = owner.decides("approve", owner.scene.shown_digest(request), "--json")
    assert failure(result)["exit_code"] == 4
    assert owner.scene.request(request.digest).status is Status.PENDING


def test_a_passphrase_that_others_can_read_is_refused(owner: Owner) -> None:
    request = owner.scene.submit()
    owner.passphrase.chmod(0o644)
    result = owner.decides("approve", owner.scene.shown_digest(request), "--json")
    assert failure(result)["exit_code"] == 3


def test_the_passphrase_is_asked_for_and_not_echoed(owner: Owner) -> None:
    request = owner.scene.submit()
    digest = owner.scene.shown_digest(request)
    secret = PASSPHRASE.decode()
    result = owner.types("approve", digest, "--key-folder", owner.scene.owner, input_=secret + "\n")
    assert result.exit_code == 0, result.output
    assert secret not in result.output


def test_the_budget_is_shown_in_shares(owner: Owner) -> None:
    scene = owner.scene
    request = scene.ready()
    scene.compute(request, 1)
    (shown,) = owner.asks("budget")
    assert (shown["epsilon"], shown["delta"], shown["data_sets"]) == (10, 1e-6, ["clinic-a"])
    left = scene.balance()
    for partition in ("training", "evaluation"):
        shares = [shown[partition][name] for name in ("spent", "reserved", "left")]
        assert sum(shares) == pytest.approx(1)
        assert shown[partition]["spent"] == left.of(partition).spent_units / left.of(partition).allowance_units > 0
    assert owner.types("budget").exit_code == 0


def test_data_sets_are_added_and_listed(owner: Owner) -> None:
    manifest = write_manifest(owner.folder / "b.toml", "clinic-b")
    table = write_table(owner.folder / "b.csv", first=5000)
    added = owner.asks("data", "add", manifest, table, "--epsilon", "3")
    assert (added["name"], added["epsilon"]) == ("clinic-b", 3)
    assert [it["name"] for it in owner.asks("data", "list")] == ["clinic-a", "clinic-b"]
    assert owner.types("data", "list").exit_code == 0
    again = owner.types("data", "add", manifest, table, "--epsilon", "3", "--json")
    assert failure(again)["exit_code"] == 5


def test_a_data_set_is_added_from_a_database_whose_password_is_never_said(owner: Owner) -> None:
    manifest = write_manifest(owner.folder / "b.toml", "clinic-b")
    rows = [line.split(",") for line in write_table(owner.folder / "b.csv", first=5000).read_text().splitlines()]
    with sqlite3.connect(owner.folder / "hospital.db") as database:
        database.execute(f"CREATE TABLE visits ({', '.join(rows[0])} NOT NULL)")
        database.executemany("INSERT INTO visits VALUES (?, CAST(? AS INTEGER), CAST(? AS REAL), ?, ?)", rows[1:])
    url = f"sqlite:///{owner.folder / 'hospital.db'}"
    assert owner.asks("data", "add", manifest, url, "--query", "visits", "--epsilon", "3")["name"] == "clinic-b"
    secret = "postgresql+psycopg://ada:5ecret7@db.example/hospital"
    for words in ((), ("--query", "visits")):
        result = owner.types("data", "add", manifest, secret, "--epsilon", "3", "--json", *words)
        assert failure(result)["exit_code"] == 2
        assert "5ecret7" not in result.output


@pytest.mark.parametrize("missing", ["manifest", "table"])
def test_a_file_that_is_not_there_is_named(owner: Owner, missing: str) -> None:
    manifest, table = write_manifest(owner.folder / "b.toml", "clinic-b"), write_table(owner.folder / "b.csv")
    {"manifest": manifest, "table": table}[missing].unlink()
    result = owner.types("data", "add", manifest, table, "--epsilon", "3", "--json")
    assert failure(result)["exit_code"] == 2


def test_no_error_shows_a_cell(owner: Owner) -> None:
    table = write_table(owner.folder / "b.csv", first=5000)
    table.write_text(table.read_text().replace("p5017,", "p5017,secret-cell", 1))
    manifest = write_manifest(owner.folder / "b.toml", "clinic-b")
    result = owner.types("data", "add", manifest, table, "--epsilon", "3", "--json")
    assert failure(result)["exit_code"] == 2
    assert "secret-cell" not in result.output
    assert "p5017" not in result.output


def test_a_card_is_pinned_only_by_the_fingerprint_that_was_heard(owner: Owner) -> None:
    mona = Identity.create(owner.folder / "mona", "mona", "researcher")
    card = owner.folder / "mona" / "card.json"
    wrong = owner.types("peers", "add", card, "--fingerprint", owner.scene.researcher.card.fingerprint, "--json")
    assert failure(wrong)["exit_code"] == 2
    assert "mona" not in {it["name"] for it in owner.asks("peers", "list")}
    heard = owner.types("peers", "add", card, input_=mona.card.fingerprint.lower() + "\n")
    assert heard.exit_code == 0, heard.output
    assert mona.party in {it["party"] for it in owner.asks("peers", "list")}
    assert owner.types("peers", "list").exit_code == 0


def test_the_log_is_exported_and_verified_anywhere(owner: Owner) -> None:
    scene = owner.scene
    scene.compute(scene.ready(), 1)
    bundle = owner.folder / "bundle"
    owner.asks("log", "export", bundle)
    card = scene.site.home.card_file
    report = json.loads(owner.types("verify", bundle, "--card", card, "--json").stdout)
    assert report["broken"] == []
    assert report["proved"]
    bundle.write_bytes(bundle.read_bytes().replace(b'"round":1', b'"round":2', 1))
    broken = owner.types("verify", bundle, "--card", card)
    assert broken.exit_code == 1
    assert "broken" in broken.stdout
    assert owner.types("verify", owner.folder / "missing").exit_code == 2


def test_another_sites_card_does_not_vouch_for_a_log(owner: Owner) -> None:
    bundle = owner.folder / "bundle"
    owner.asks("log", "export", bundle)
    result = owner.types("verify", bundle, "--card", owner.folder / "bern" / "card.json")
    assert result.exit_code == 1


def test_a_folder_without_a_datasite_is_an_error_of_input(tmp_path: Path) -> None:
    for command in (["requests"], ["show", "1"], ["budget"], ["card"], ["data", "list"], ["peers", "list"]):
        result = CliRunner().invoke(app, [*command, "--home", str(tmp_path), "--json"])
        assert failure(result)["exit_code"] == 2


def test_numbers_that_are_no_request_are_errors_of_input(owner: Owner) -> None:
    owner.scene.submit()
    owner.scene.receive(owner.scene.terms(OTHER_STUDY))
    assert [it["status"] for it in owner.asks("requests")] == ["pending", "received"]
    assert failure(owner.types("show", "3", "--json"))["exit_code"] == 2
    assert owner.types("show", "one").exit_code == 2
