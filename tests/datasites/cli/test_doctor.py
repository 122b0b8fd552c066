"""`datasite doctor`: what it prints, and the exit code by which a script can tell."""

import json

import pytest
from typer.testing import CliRunner

from datasites.cli import doctor
from datasites.cli.main import app
from datasites.sandbox.environment import offered_packages
from datasites.sandbox.probe import Layers


def test_it_tells_what_holds_here_and_what_jobs_may_import() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert "seccomp" in found["jobs"]
    assert "seccomp" in found["training"]
    assert found["missing"] == []
    assert found["offered_packages"] == list(offered_packages())


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"]])
def test_it_fails_and_says_what_to_do_where_jobs_cannot_run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda: Layers((), ("seccomp",), ("Install bubblewrap.",)))
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "Install bubblewrap." in result.stdout
