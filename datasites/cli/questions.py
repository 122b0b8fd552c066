"""`datasite ask`: a question to a request's researcher; and what `show` prints of questions and answers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from datasites.cli.options import (
    DEFAULT_HOME,
    DEFAULT_KEY_FOLDER,
    HomeOption,
    JsonOption,
    KeyFolderOption,
    PassphraseOption,
    person_key,
    site_at,
)
from datasites.cli.output import print_json, print_table, reporting, say
from datasites.requests.ask import ask
from datasites.requests.questions import Asked
from datasites.store.waking import wake


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(name="ask")(ask_researcher)


def ask_researcher(
    number: Annotated[int, typer.Argument(help="The request's number.")],
    question: Annotated[str, typer.Argument(help="What to ask; at most 2000 characters, and nothing private.")],
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a request's researcher something; question and answer are logged as they stand, so name nothing private."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            asked = ask(connection, site, number, question, key)
        wake(site.home)
        if as_json:
            print_json({"number": number, "question": asked.question.number})
        else:
            say(
                f"Question {asked.question.number} on request {number} is sent; «show» has the answer once it is there."
            )


def questions_as_json(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """Every question on a request, for programs."""
    return [
        {
            "number": it.question.number,
            "by": it.by,
            "question": it.question.text,
            "asked_at": it.question.asked_at,
            "answer": it.answer,
            "answered_at": it.answered_at,
        }
        for it in asked
    ]


def print_questions(asked: Sequence[Asked]) -> None:
    """Every question on a request with its answer, for people; nothing where nothing was asked."""
    if asked:
        rows = [
            (str(it.question.number), _day(it.question.asked_at), it.by, it.question.text, it.answer or "no answer yet")
            for it in asked
        ]
        print_table("Questions to the researcher", ("N", "Asked", "By", "Question", "Answer"), rows)


def _day(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")
