"""`datasite doctor`: whether this machine can hold training and jobs, by which layers, and what jobs may import."""

import typer
from rich.markup import escape

from datasites.cli.options import JsonOption
from datasites.cli.output import console, print_facts, print_json, reporting
from datasites.sandbox.environment import offered_packages
from datasites.sandbox.probe import probe


def add_to(parent: typer.Typer) -> None:
    """Register the command."""
    parent.command()(doctor)


def doctor(as_json: JsonOption = False) -> None:
    """Try every layer of the sandbox here; exits with 1 if jobs or training cannot run, saying what to do."""
    with reporting(as_json):
        layers, offered = probe(), offered_packages()
        if as_json:
            print_json(
                {
                    "jobs": list(layers.jobs),
                    "training": list(layers.training),
                    "missing": list(layers.missing),
                    "offered_packages": list(offered),
                }
            )
        else:
            print_facts(
                "What holds on this machine",
                {
                    "a job": ", ".join(layers.jobs) or "nothing: jobs do not run",
                    "a trainer": ", ".join(layers.training) or "nothing: training does not run",
                    "jobs may import": ", ".join(offered),
                },
            )
            for sentence in layers.missing:
                console.print(f"[bold red]✗[/] {escape(sentence)}", soft_wrap=True)
        if not layers.enough:
            raise typer.Exit(1)
