"""Look through a request before its owner is asked: the findings on its source and programs, named in the log."""

from collections.abc import Mapping

from sqlalchemy import Connection

from datasites.requests.records import Request
from policies.log.journal import append
from policies.log.review_entries import RequestReviewed
from policies.manifest import Manifest
from policies.programs.format import Program, parse_program
from policies.review.findings import Findings, collect
from policies.review.program_notes import program_notes
from policies.review.source_findings import source_notes

SOURCE = "source.py"
"""What the source of a study is called where a finding or a change names its place."""


def programs_of(request: Request) -> dict[str, Program]:
    """The programs of a study by what they are for."""
    return {
        "loss": parse_program(request.loss_program.encode()),
        "metrics": parse_program(request.metrics_program.encode()),
    }


def study_findings(request: Request, manifest: Manifest) -> Findings:
    """What stands out in a study's source and programs, beside the data set that it asks for."""
    programs, evaluation = programs_of(request).items(), request.terms.evaluation
    return collect(
        [
            *source_notes({SOURCE: request.source.encode()}),
            *(note for name, program in programs for note in program_notes(name, program, manifest, evaluation)),
        ]
    )


def job_findings(code: Mapping[str, bytes]) -> Findings:
    """What stands out in a job's files."""
    return collect(source_notes(code))


def log_review(connection: Connection, request: str, findings: Findings, now: int) -> None:
    """Name the findings on the request with this digest in the log; once, when it begins to wait for its owner."""
    append(connection, RequestReviewed(at=now, request=request, findings=findings.digest()))
