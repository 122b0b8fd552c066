"""`datasite`: the commands by which a data owner runs a datasite, decides, and audits."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

MODULES = {
    "init": "site",
    "card": "site",
    "serve": "site",
    "requests": "requests",
    "show": "requests",
    "budget": "requests",
    "approve": "decisions",
    "deny": "decisions",
    "ask": "questions",
    "release": "jobs",
    "withhold": "jobs",
    "outputs": "jobs",
    "cancel": "jobs",
    "revoke": "halts",
    "stop": "halts",
    "resume": "halts",
    "verify": "log",
    "receipt": "receipts",
    "verify-receipt": "receipts",
    "recover": "recover",
    "doctor": "doctor",
    "data": "data",
    "files": "files",
    "machines": "machines",
    "peers": "peers",
    "people": "people",
    "rules": "rules",
    "log": "log",
    "witnessed": "witnessed",
    "relay": "relay",
}
"""Every command or group, in the order of the help, and which module of this package makes it with its `add_to`."""


class _Commands(TyperGroup):
    """Imports the module of the command that was typed, and no other: most commands take less time than all imports."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            # For a word that is no command all are made: one of them is suggested.
            for module in {MODULES[cmd_name]} if cmd_name in MODULES else set(MODULES.values()):
                made = typer.Typer()
                import_module(f"datasites.cli.{module}").add_to(made)
                self.commands.update(get_group(made).commands)
        return self.commands.get(cmd_name)


app = typer.Typer(
    name="datasite",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _datasite() -> None:
    """Run a datasite: keep private data at home, decide what may be computed on it, and prove what was."""


def main() -> None:
    """Run the command line."""
    app()
