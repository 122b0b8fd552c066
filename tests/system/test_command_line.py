"""The commands as processes: help and JSON everywhere, one exit code a kind of failure, and no forged output."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from datasites.cli.main import app
from datasites.protocol.identity import Identity
from tests.demo import commands
from tests.demo.commands import datasite
from tests.site_folder import write_manifest, write_table
from tests.system.typed_commands import CURSOR, MARKUP, typed
from tests.system.waiting import content


def failed(*words: str | Path) -> tuple[int, str]:
    """A command's exit code and sentence, the same for people and for programs."""
    for_people, for_programs = typed(*words), answered(*words)
    told = json.loads(for_programs.stderr)
    assert set(told) == {"error", "exit_code"}
    assert for_people.returncode == for_programs.returncode == told["exit_code"]
    assert for_people.stderr == f"✗ {told['error']}\n"
    assert for_people.stdout == for_programs.stdout == ""
    return told["exit_code"], told["error"]


def answered(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """What a command answers to programs."""
    return commands.run([*map(str, words), "--json"], commands.environment())


def every_command(of: Any, *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All groups and commands below `of`, itself included, with the words that call them."""
    yield above, of
    for name in of.list_commands(None) if hasattr(of, "list_commands") else ():
        yield from every_command(of.get_command(None, name), *above, name)


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
    return ["init", *options, "--home", folder / home, "--key-folder", folder / owner,
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
        done = answered(*words, "--home", clinic / "home")
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
    done = answered("verify", bundle, "--card", card)
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
