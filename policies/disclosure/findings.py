"""Findings: what an inspection says of a job's outputs, believed only as far as this schema goes.

The inspection reads hostile bytes in the sandbox. Were it taken over by them, it could say that all is well: findings
inform a person's decision, they do not prove that an output is harmless.
"""

from collections.abc import Collection, Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.disclosure.content_findings import (
    CopiedColumn,
    Dominance,
    Identifiers,
    LargeTensors,
    OpaqueText,
    RareCombinations,
    RecordRows,
    SmallCounts,
    SmallGroups,
    TooManyValues,
)
from policies.disclosure.file_findings import (
    Extra,
    Image,
    LeftOut,
    OtherFormat,
    TooLarge,
    Undeclared,
    Unfinished,
    Unreadable,
    UnreadData,
)
from policies.disclosure.finding_parts import Count, OutputName
from policies.errors import InvalidInputError
from policies.jobs.release import LOGS, MAXIMUM_OUTPUTS
from policies.statements.schema import StrictModel, parse_model

MAXIMUM_FINDINGS_BYTES = 4 * 1024 * 1024
MAXIMUM_FINDINGS = 200
MAXIMUM_INSPECTED = MAXIMUM_OUTPUTS + len(LOGS)

Finding = Annotated[
    Unfinished
    | Undeclared
    | LeftOut
    | TooLarge
    | OtherFormat
    | Unreadable
    | UnreadData
    | SmallCounts
    | SmallGroups
    | Dominance
    | RecordRows
    | RareCombinations
    | CopiedColumn
    | Identifiers
    | TooManyValues
    | OpaqueText
    | LargeTensors
    | Image
    | Extra,
    Field(discriminator="check"),
]
"""One thing found: its `check` says which, `output` where (None: in all together), `sentence` in words for the owner.

No finding quotes a cell of an output or of the private data. Its severity belongs to the check: "hold" keeps the
outputs until a person has looked, "note" is told beside.
"""


class Findings(StrictModel):
    """All that an inspection found, the holds first."""

    version: Literal["cloister-findings/1"] = "cloister-findings/1"
    inspected: Annotated[tuple[OutputName, ...], Field(max_length=MAXIMUM_INSPECTED)]
    found: Annotated[tuple[Finding, ...], Field(max_length=MAXIMUM_FINDINGS)]
    more: Count
    """How many further findings there were, beyond what is listed."""

    @property
    def clean(self) -> bool:
        """Whether nothing asks for a person to look. It is no proof: see what the inspection cannot see."""
        return self.more == 0 and all(finding.severity == "note" for finding in self.found)


def collect(inspected: Sequence[str], found: Sequence[Finding]) -> Findings:
    """Findings of those outputs, the holds first, cut to what is shown."""
    ordered = sorted(found, key=lambda finding: finding.severity == "note")
    return Findings(
        inspected=tuple(inspected),
        found=tuple(ordered[:MAXIMUM_FINDINGS]),
        more=max(0, len(ordered) - MAXIMUM_FINDINGS),
    )


def parse_findings(data: bytes) -> Findings:
    """Parse what an inspection wrote.

    Raises:
        InvalidInputError: it is not canonical, too long, or a field is wrong.
    """
    return parse_model(Findings, data, maximum_bytes=MAXIMUM_FINDINGS_BYTES, what="The inspection's result")


def believed(data: bytes | None, outputs: Collection[str]) -> Findings:
    """What to make of an inspection of `outputs`, `data` being what it wrote, None if it left or ended with nothing.

    Call it with None too if the process died, timed out or was killed. Unless there are valid findings that speak of
    exactly these outputs, everything is held.
    """
    if data is None:
        return _unfinished()
    try:
        findings = parse_findings(data)
    except InvalidInputError:
        return _unfinished()
    return findings if set(findings.inspected) == set(outputs) else _unfinished()


def _unfinished() -> Findings:
    return Findings(inspected=(), found=(Unfinished(),), more=0)
