"""The commands as processes: help and JSON everywhere, one exit code a kind of failure, and no forged output."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from datasites.cli.main import app
from datasites.protocol.identity import Identity
from researcher import Privacy, Study
from researcher.export import ExportedPlan
from researcher.submission import draft_terms
from tests.demo.commands import COMMAND, CommandFailedError, datasite, environment
from tests.one_site import write_manifest, write_table
from tests.system.federation import LiveFederation, ask, cancel, wait_for_status
from tests.system.plans import SmallPlan
from tests.system.waiting import content

ANNA = "anna-hospital"
MARKUP = "[bold green]✓ approved[/] [link=http://x.example]here[/link]"
FORGED = "To approve exactly this:  datasite approve " + 8 * "deadbeef"
CURSOR = re.compile(r"\x1b(?!\[[0-9;]*m)")
"""Escape sequences beyond colours: links, moves of the cursor, titles of the window."""


class ForgingPlan(SmallPlan):
    """Its source tries to print a line of ours.

    To approve exactly this:  datasite approve deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef
    """  # [bold green]✓ approved[/]


def typed(*words: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Type a command, and give what it did."""
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env={**environment(), **variables}, check=False
    )


def failed(*words: str | Path) -> tuple[int, str]:
    """A command's exit code and sentence, the same for people and for programs."""
    for_people, for_programs = typed(*words), typed(*words, "--json")
    told = json.loads(for_programs.stderr)
    assert set(told) == {"error", "exit_code"}
    assert for_people.returncode == for_programs.returncode == told["exit_code"]
    assert for_people.stderr == f"✗ {told['error']}\n"
    assert for_people.stdout == for_programs.stdout == ""
    return told["exit_code"], told["error"]


def every_command(of: Any, *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All groups and commands below `of`, itself included, with the words that call them."""
    yield above, of
    for name, command in getattr(of, "commands", {}).items():
        yield from every_command(command, *above, name)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a datasite `home`, its `owner` and `passphrase`; its name and its data set's title are markup."""
    folder = tmp_path_factory.mktemp("clinic")
    passphrase = folder / "passphrase"
    passphrase.write_text("three wards and a garden\n")
    passphrase.chmod(0o600)
    datasite(*init(folder, "home", "owner", name=MARKUP))
    write_table(folder / "table.csv")
    manifest = write_manifest(folder / "manifest.toml")
    manifest.write_text(manifest.read_text().replace("Clinic A", MARKUP))
    datasite("data", "add", manifest, folder / "table.csv", "--epsilon", "5", "--home", folder / "home")
    return folder


def init(folder: Path, home: str, owner: str, **changes: str) -> list[str | Path]:
    """The words of `datasite init`."""
    asked = {"name": "Clinic A", "relay": "http://127.0.0.1:9", "contact": "owner@clinic-a.example"} | changes
    options = [word for name, value in asked.items() for word in (f"--{name}", value)]
    return ["init", *options, "--home", folder / home, "--owner", folder / owner,
            "--passphrase-file", folder / "passphrase"]  # fmt: skip


def test_every_command_explains_itself_and_speaks_json() -> None:
    found = list(every_command(typer.main.get_command(app)))
    assert len(found) > 15
    for words, command in found:
        result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0, words
        assert command.help, words
        assert command.help.split(".")[0].split(":")[0] in " ".join(result.stdout.split()), words
        if hasattr(command, "commands"):
            bare = CliRunner().invoke(app, [*words])
            assert (bare.exit_code, "Usage:" in bare.output) == (2, True), words
            continue
        options = {name: parameter for parameter in command.params for name in parameter.opts}
        assert "--json" in options, words
        assert all(getattr(it, "help", None) for name, it in options.items() if name != "--help"), words


def test_what_is_printed_as_json_is_one_line(clinic: Path) -> None:
    for words in (("card",), ("requests",), ("budget",), ("data", "list"), ("peers", "list")):
        done = typed(*words, "--home", clinic / "home", "--json")
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout.count("\n") == 1
        assert json.loads(done.stdout) is not None


def test_a_changed_bundle_exits_with_1_and_says_where(clinic: Path, tmp_path: Path) -> None:
    bundle, card = tmp_path / "bundle", clinic / "home" / "card.json"
    datasite("log", "export", bundle, "--home", clinic / "home")
    assert datasite("verify", bundle, "--card", card)["broken"] == []
    changed = bundle.read_bytes().replace(b'"epsilon":5', b'"epsilon":9', 1)
    assert changed != bundle.read_bytes()
    bundle.write_bytes(changed)
    done = typed("verify", bundle, "--card", card, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["broken"]
    for_people = typed("verify", bundle, "--card", card)
    assert for_people.returncode == 1
    assert "✗ broken" in for_people.stdout


def test_each_kind_of_failure_has_its_code_and_one_sentence(clinic: Path, tmp_path: Path) -> None:
    home, before = ("--home", clinic / "home"), content(clinic / "home" / "datasite.sqlite")
    assert typed("card", *home).returncode == 0
    no_such = "There is no request number 9; «datasite requests» lists those there are."
    assert failed("show", "9", *home) == (2, no_such)
    another_name = write_manifest(tmp_path / "b.toml", "clinic-b")
    code, sentence = failed("data", "add", another_name, clinic / "table.csv", "--epsilon", "4", *home)
    assert (code, sentence.partition(" already")[0]) == (3, "People of this table have a lifetime budget of ε=5")
    code, sentence = failed("relay", "run", tmp_path / "relay", "--host", "192.0.2.1", "--port", "9")
    assert (code, sentence.partition(" (")[0]) == (6, "Cannot listen on 192.0.2.1 port 9")
    assert content(clinic / "home" / "datasite.sqlite") == before


def test_init_never_overwrites_and_leaves_nothing_behind(clinic: Path) -> None:
    files = {path: path.read_bytes() for path in clinic.rglob("*") if path.is_file()}
    assert failed(*init(clinic, "home", "owner2")) == (
        5,
        f"{clinic / 'home'} holds a datasite already; choose another folder with --home.",
    )
    assert {path: path.read_bytes() for path in clinic.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"relay": "relay.example"}, "relay"),
        ({"contact": "nobody"}, "contact"),
        ({"name": "Clinic\x1b[2J"}, "name"),
        ({"name": "Clinic  A"}, "name"),
    ],
    ids=["relay", "contact", "escape characters", "two spaces"],
)
def test_init_names_the_setting_that_is_wrong(clinic: Path, changes: dict[str, str], names: str) -> None:
    code, sentence = failed(*init(clinic, "home3", "owner3", **changes))
    assert code == 2
    assert names in sentence
    assert "\x1b" not in sentence
    assert not (clinic / "home3").exists()
    assert not (clinic / "owner3").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("log", "export", "/proc/nowhere/bundle"),
        ("show", "99999999999999999999"),
        ("relay", "admit", "/proc/nowhere", "card.json"),
    ],
    ids=lambda words: words[0],
)
def test_what_is_not_there_or_cannot_be_made_is_an_error_of_input(clinic: Path, words: tuple[str, ...]) -> None:
    given = [str(clinic / "home" / word) if word == "card.json" else word for word in words]
    code, sentence = failed(*given, *(("--home", clinic / "home") if words[0] != "relay" else ()))
    assert (code, "\n" in sentence) == (2, False)


def test_names_and_titles_are_never_markup(clinic: Path, tmp_path: Path) -> None:
    mallory = Identity.create(tmp_path / "mallory", f"{MARKUP} mallory", "researcher").card
    home = ("--home", clinic / "home")
    pinned = typed("peers", "add", tmp_path / "mallory" / "card.json", "--fingerprint", mallory.fingerprint, *home)
    assert f"«{mallory.name}»" in pinned.stdout
    for words in (("card",), ("data", "list"), ("peers", "list")):
        done = typed(*words, *home, FORCE_COLOR="1", COLUMNS="300")
        assert done.returncode == 0
        assert MARKUP in done.stdout, words
        assert not CURSOR.search(done.stdout)


@pytest.fixture(scope="module")
def waiting(live: LiveFederation) -> Iterator[Study]:
    """A study that waits at all three sites, written to deceive."""
    privacy = Privacy(epsilon=2.0, delta=1e-6)
    study = live.pending_study(ForgingPlan(), title=MARKUP, purpose=f"Care.\n{FORGED}\n{MARKUP}", privacy=privacy)
    yield study
    cancel(study, live.sites.values())


def written(live: LiveFederation) -> Any:
    """What anna's site keeps of requests and decisions, and its budget."""
    anna = live.sites[ANNA]
    return content(anna.database, "requests", "reservations", "charges"), anna.site.budget()


def test_a_request_cannot_print_a_line_of_ours(live: LiveFederation, waiting: Study) -> None:
    anna = live.sites[ANNA]
    number = str(anna.request_number(waiting))
    plain = typed("show", number, "--home", anna.home).stdout
    assert plain.count("deadbeef") > 8, "the reviewer sees the attempts"
    lines = [line for line in plain.splitlines() if line.startswith(("To approve", "✓", "datasite"))]
    assert lines == [f"To approve exactly this:  datasite approve {anna.show(waiting)['approval_digest']}"]
    for words in (("show", number), ("requests",)):
        coloured = typed(*words, "--home", anna.home, FORCE_COLOR="1", COLUMNS="300")
        assert MARKUP in re.sub(r"\x1b\[[0-9;]*m", "", coloured.stdout)
        assert not CURSOR.search(coloured.stdout)


def test_only_the_owner_of_the_site_approves_and_only_what_show_showed(live: LiveFederation, waiting: Study) -> None:
    own, other = live.sites[ANNA].site.folder, live.sites["bern-hospital"].site.folder
    shown, of_bern = (live.sites[it].show(waiting)["approval_digest"] for it in (ANNA, "bern-hospital"))
    wrong, shared = own / "wrong", own / "shared"
    for file, text, mode in ((wrong, "a guess", 0o600), (shared, (own / "passphrase").read_text(), 0o640)):
        file.write_text(text)
        file.chmod(mode)
    tries = [
        (shown, own, wrong, 4, "The passphrase does not open "),
        (shown, other, other / "passphrase", 4, "This key is not the decision key on the datasite's card; "),
        (of_bern, own, own / "passphrase", 3, f"No pending request has the digest {of_bern[:16]}… as things stand"),
        (shown[:-1] + "g", own, own / "passphrase", 3, f"No pending request has the digest {shown[:16]}… as things"),
        (shown, own, shared, 3, f"{shared} is open to other accounts (mode 0640); run chmod 600 on it"),
    ]
    before = written(live)
    for digest, owner, passphrase, code, sentence in tries:
        refused_approval(live, digest, owner, passphrase, code, sentence)
    assert written(live) == before
    live.sites[ANNA].site.approve(shown)
    assert live.sites[ANNA].site.budget()["training"]["reserved"] > 0.01


def test_what_does_not_fit_the_budget_or_came_too_late_is_not_approved(
    live: LiveFederation, waiting: Study, exported: ExportedPlan
) -> None:
    anna = live.sites[ANNA]
    if anna.site.budget()["training"]["reserved"] == 0:
        anna.approve(waiting)

    def submit(**wishes: Any) -> Study:
        drafted = draft_terms(live.ada.identity.party, exported, live.data_sets, ask(**wishes))
        return live.submit_to(ANNA, drafted, exported)

    late, large = submit(valid_days=2 / 86_400), submit(privacy=Privacy(epsilon=10.0, delta=1e-6))
    wait_for_status(large, [ANNA], "pending")
    wait_for_status(late, [ANNA], "expired")
    before, own = written(live), anna.site.folder
    for study, sentence in (
        (
            large,
            f"Request {anna.request_number(large)} cannot be approved: This request does not fit the privacy budget",
        ),
        (late, "No pending request has the digest "),
    ):
        refused_approval(live, anna.show(study)["approval_digest"], own, own / "passphrase", 3, sentence)
    assert written(live) == before
    large.cancel("The test is over.")


def refused_approval(live: LiveFederation, digest: str, owner: Path, passphrase: Path, code: int, start: str) -> None:
    """Try to approve at anna's site, and be refused."""
    with pytest.raises(CommandFailedError) as caught:
        datasite("approve", digest, "--home", live.sites[ANNA].home, "--owner", owner / "owner",
                 "--passphrase-file", passphrase)  # fmt: skip
    assert caught.value.code == code
    assert caught.value.sentence.startswith(start)
