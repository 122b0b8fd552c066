"""The parts of findings: names that came from outputs, made fit to be shown, and bounded numbers."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from policies.jobs.names import FilePath
from policies.statements.schema import PLAIN_TEXT, StrictModel, as_text

_LONGEST_LABEL = 60

OutputName = FilePath
"""An output's name, relative to their folder."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_LABEL, pattern=PLAIN_TEXT)]
"""The name of a column or file, as shown to the owner: perhaps shortened, without characters that mislead."""

Labels = Annotated[tuple[Label, ...], Field(min_length=1, max_length=8)]
Severity = Literal["note", "hold"]
"""Whether a person must look before anything leaves, or is only told."""

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Share = Annotated[float, Field(ge=0, le=1e9)]


class OfOutput(StrictModel):
    """A finding on one output, which holds all of them."""

    output: OutputName
    severity: Literal["hold"] = "hold"


class OfAll(StrictModel):
    """A finding on the outputs as a whole, which holds them."""

    output: None = None
    severity: Literal["hold"] = "hold"


def as_label(name: str) -> Label:
    """Make `name`, which may be anything, fit to be shown; a nameless one is called so."""
    plain = " ".join(as_text(name[: 4 * _LONGEST_LABEL]).split()) if name.strip() else ""
    if not plain:
        return "(no name)"
    return plain if len(plain) <= _LONGEST_LABEL else plain[: _LONGEST_LABEL - 1] + "…"


def listed(columns: tuple[str, ...]) -> str:
    """The names in quotes, as a sentence lists them."""
    quoted = [f"«{name}»" for name in columns]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]
