"""Findings of a review: what the reader of a request should look at. They inform a person; the sandbox protects."""

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import Field, StringConstraints

from policies.statements.digests import digest
from policies.statements.schema import PLAIN_TEXT, StrictModel, as_text

MAXIMUM_FINDINGS = 200
THEY_INFORM = (
    "Findings say where to look; they prove nothing, and code can be written so that none is made. What protects the "
    "data is the sandbox, the privacy budget and your release, not this list."
)
_LONGEST_SENTENCE = 400

Severity = Literal["high", "medium", "low"]
"""How much it should weigh: high is seldom part of an honest request, low is told so that it is not overlooked."""

Check = Literal[
    "unreadable",
    "size",
    "import",
    "name",
    "input-output",
    "dynamic-code",
    "reflection",
    "hidden-text",
    "obfuscation",
    "memorising",
    "program",
]
_Sentence = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_SENTENCE, pattern=PLAIN_TEXT)]


class Note(NamedTuple):
    """One thing seen, before it is made fit to be shown; it may quote anything."""

    place: str
    line: int | None
    check: Check
    severity: Severity
    sentence: str
    ask: str


class Finding(StrictModel):
    """One thing found: in which file or program, at which line (None: in all of it), and what to ask its author."""

    place: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN_TEXT)]
    line: Annotated[int, Field(ge=1, le=10_000_000)] | None
    check: Check
    severity: Severity
    sentence: _Sentence
    ask: _Sentence


class Findings(StrictModel):
    """All that a review found, what weighs most first; `more` counts those beyond what is listed."""

    version: Literal["cloister-review/1"] = "cloister-review/1"
    found: Annotated[tuple[Finding, ...], Field(max_length=MAXIMUM_FINDINGS)]
    more: Annotated[int, Field(ge=0, le=2**53 - 1)]

    def digest(self) -> str:
        """The digest that the log names them by."""
        return digest("review-findings", self.canonical())


def collect(notes: Iterable[Note]) -> Findings:
    """Findings in one order (severity, place, line), each once, cut to what is shown."""
    ordered = sorted(set(notes), key=_order)
    return Findings(
        found=tuple(
            Finding(
                place=as_text(note.place)[:200],
                line=note.line,
                check=note.check,
                severity=note.severity,
                sentence=as_text(note.sentence)[:_LONGEST_SENTENCE],
                ask=as_text(note.ask)[:_LONGEST_SENTENCE],
            )
            for note in ordered[:MAXIMUM_FINDINGS]
        ),
        more=max(0, len(ordered) - MAXIMUM_FINDINGS),
    )


def _order(note: Note) -> tuple[int, str, int, str, str]:
    return get_args(Severity).index(note.severity), note.place, note.line or 0, note.check, note.sentence
