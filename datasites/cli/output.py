"""What commands print: Rich tables for people, canonical JSON with --json, and an exit code for each kind of error."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import OperationalError, ProgrammingError

from policies.errors import (
    CloisterError,
    ConflictError,
    InvalidInputError,
    NotAuthenticError,
    RefusedError,
    UnavailableError,
)
from policies.statements.canonical import canonical_bytes
from policies.statements.schema import describe_validation_error

EXIT_CODES: Mapping[type[CloisterError], int] = {
    InvalidInputError: 2,
    RefusedError: 3,
    NotAuthenticError: 4,
    ConflictError: 5,
    UnavailableError: 6,
}
"""0 is success and 1 a check that did not hold, such as a broken log."""

console = Console(highlight=False)
_error_console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Turn an expected failure into its one sentence on stderr (an object with --json) and its exit code."""
    try:
        with _as_expected():
            yield
    except CloisterError as error:
        code = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
        # What was typed and is quoted may be no Unicode at all.
        sentence = str(error).encode(errors="replace").decode()
        if as_json:
            sys.stderr.write(canonical_bytes({"error": sentence, "exit_code": code}).decode() + "\n")
        else:
            _error_console.print(f"[bold red]✗[/] {escape(sentence)}")
        raise typer.Exit(code) from error


@contextmanager
def _as_expected() -> Iterator[None]:
    """Say in our words what libraries raise for bad input, a file that cannot be used, or a busy database."""
    try:
        yield
    except ValidationError as error:
        raise InvalidInputError(f"An option is not valid: {describe_validation_error(error)}.") from error
    except (OperationalError, ProgrammingError) as error:  # the latter, too, if PostgreSQL lets this account do less
        reason = str(error.orig).split("\n", 1)[0].rstrip(".;")
        raise UnavailableError(f"The datasite's database cannot be used just now ({reason}); try again.") from error
    except OSError as error:
        raise InvalidInputError(f"{error.filename} cannot be used ({error.strerror}); name another file.") from error


def print_json(value: Any) -> None:
    """Print one JSON value on one line."""
    sys.stdout.write(canonical_bytes(value).decode() + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text; nothing in them is taken as markup."""
    table = Table(title=escape(title), title_justify="left")
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    table = Table(show_header=False, title=escape(title), title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(f"[bold]{escape(name)}[/]", escape(value))
    console.print(table)


def say(sentence: str) -> None:
    """Print one sentence; nothing in it is taken as markup."""
    console.print(f"[bold green]✓[/] {escape(sentence)}", soft_wrap=True)
