"""`datasite` itself: every command is found, and none waits for what only others import."""

import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.main import get_group
from typer.testing import CliRunner

from datasites.cli.main import MODULES, app

_IMPORTED = """
import sys
from typer.testing import CliRunner
from datasites.cli.main import app
assert CliRunner().invoke(app, [sys.argv[1], "--help"]).exit_code == 0
print(*{name.partition(".")[0] for name in sys.modules})
"""
_HEAVY = {"alembic", "httpx", "matplotlib", "numpy", "opacus", "pandas", "pyarrow", "syft", "torch", "uvicorn"}


def test_every_command_of_every_module_is_listed_and_no_other() -> None:
    made = typer.Typer()
    for module in dict.fromkeys(MODULES.values()):
        import_module(f"datasites.cli.{module}").add_to(made)
    assert get_group(made).commands.keys() == MODULES.keys()
    shown = CliRunner().invoke(app, ["--help"]).stdout.split()
    assert MODULES.keys() <= set(shown)


def test_a_misspelt_command_is_told_what_may_have_been_meant() -> None:
    result = CliRunner().invoke(app, ["aprove"])
    assert result.exit_code == 2
    assert "'approve'" in result.stderr


@pytest.mark.parametrize("command", ["init", "peers", "requests", "release", "verify", "relay"])
def test_a_command_imports_nothing_heavy_that_it_does_not_need(command: str) -> None:
    done = subprocess.run([sys.executable, "-c", _IMPORTED, command], capture_output=True, text=True, check=True)
    needed = {"numpy"} if command == "requests" else set()  # findings of a review are computed with it
    assert _HEAVY & set(done.stdout.split()) == needed
