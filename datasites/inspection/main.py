"""The errand "inspection": what it is asked lies at one place, what it found goes to another."""

from pathlib import Path

from datasites.inspection.inspect_outputs import inspect_outputs
from datasites.inspection.question import parse_question

QUESTION = Path("/inspection.json")
OUTPUTS = Path("/outputs")
PRIVATE = Path("/private")
FINDINGS = Path("/findings/findings.json")


def main() -> None:
    """Inspect and write the findings, last of all and at once: if anything fails on the way, there are none."""
    findings = inspect_outputs(parse_question(QUESTION.read_bytes()), OUTPUTS, PRIVATE)
    FINDINGS.write_bytes(findings.canonical())
