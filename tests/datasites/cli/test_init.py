"""`datasite init`: all of a datasite or none; one that was cut short can be finished; bad options get one sentence."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from datasites import site as site_module
from datasites.cli.main import app
from datasites.site import open_site
from datasites.store.home import Home
from policies.log.verify import Pinned, verify_bundle
from tests.databases import DATABASES, SQLITE, empty_database

GOOD = {"--name": "anna hospital", "--relay": "http://127.0.0.1:9", "--contact": "office@anna.example"}


def init(folder: Path, *flags: str, **changes: str) -> Result:
    passphrase = folder / "passphrase"
    passphrase.write_text("correct horse battery")
    passphrase.chmod(0o600)
    places = {
        "--home": str(folder / "home"),
        "--key-folder": str(folder / "owner"),
        "--passphrase-file": str(passphrase),
    }
    options = GOOD | places | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return CliRunner().invoke(app, ["init", *(word for option in options.items() for word in option), *flags])


def test_init_makes_a_site_whose_owner_key_lies_elsewhere(tmp_path: Path) -> None:
    inside = init(tmp_path, key_folder=str(tmp_path / "home" / "owner"))
    assert (inside.exit_code, inside.stdout) == (2, "")
    assert not (tmp_path / "home").exists()
    made = init(tmp_path, "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["party"] == open_site(Home(tmp_path / "home")).identity.party
    again = init(tmp_path, "--json", key_folder=str(tmp_path / "owner2"))
    assert again.exit_code == json.loads(again.stderr)["exit_code"] == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "anna  hospital"},
        {"name": "anna\x1b[2J"},
        {"name": ""},
        {"relay": "foo"},
        {"contact": "bar"},
        {"database": "sqlite:///x"},
    ],
)
def test_a_bad_option_gets_one_sentence_and_leaves_nothing(tmp_path: Path, changes: dict[str, str]) -> None:
    result = init(tmp_path, **changes)
    assert result.exit_code == 2
    assert "An option is not valid" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "owner").exists()
    assert init(tmp_path).exit_code == 0


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("step", ["create_home", "migrate", "append", "write_settings"])
def test_one_that_was_cut_short_is_finished_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, kind: str
) -> None:
    place = {} if kind == SQLITE else {"database": empty_database(kind, tmp_path)}
    with monkeypatch.context() as cut:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        cut.setattr(site_module, step, die)
        assert init(tmp_path, **place).exit_code != 0
    assert CliRunner().invoke(app, ["card", "--home", str(tmp_path / "home")]).exit_code == 2
    assert init(tmp_path, **place).exit_code == 0
    bundle = tmp_path / "bundle"
    assert CliRunner().invoke(app, ["log", "export", str(bundle), "--home", str(tmp_path / "home")]).exit_code == 0
    assert verify_bundle(bundle.read_bytes(), Pinned()).broken == []
    assert init(tmp_path, **place).exit_code == 5


def test_a_database_that_cannot_be_reached_or_has_a_password_in_its_url_gets_one_sentence(tmp_path: Path) -> None:
    nowhere = f"postgresql+psycopg://clinic@/cloister?host={tmp_path}"
    unreachable = init(tmp_path, database=nowhere)
    assert unreachable.exit_code == 6
    assert "No such file or directory" in unreachable.stderr
    open_secret = init(tmp_path, database=nowhere.replace("clinic@", "clinic:hunter2@"))
    assert (open_secret.exit_code, "hunter2" in open_secret.output) == (2, False)
    assert "leave the password out" in open_secret.stderr
    assert "Traceback" not in unreachable.output + open_secret.output


def test_an_export_to_nowhere_is_bad_input(tmp_path: Path) -> None:
    assert init(tmp_path).exit_code == 0
    nowhere = str(tmp_path / "missing" / "bundle")
    result = CliRunner().invoke(app, ["log", "export", nowhere, "--home", str(tmp_path / "home")])
    assert result.exit_code == 2
    assert "missing" in result.stderr
