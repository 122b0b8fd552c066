"""Export a study's source again, in the sandbox, without data: does what the reviewer reads give the programs?"""

from datasites.requests.records import Request, find_request, require_as_received
from datasites.requests.second_exports import SecondExport, keep_second_export
from datasites.sandbox.errand import Cancel, Errand, Limits
from datasites.sandbox.zygote import Zygote
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.data_sets import DataSet, require_data_set
from datasites.store.engine import reading
from policies.errors import CloisterError
from policies.statements.schema import Digest, StrictModel, parse_model

_SCRIPT = b"""\
from pathlib import Path
from researcher.second_export import main
main(Path("/job/source.py"), Path("/job/record.json"), Path("/answer/digests.json"))
"""
_MAXIMUM_ANSWER_BYTES = 4096
_NICENESS = 19
_LIMITS = Limits(
    memory_bytes=4 << 30, disk_bytes=64 << 20, cpu_seconds=600, wall_seconds=300.0, threads=64, text_bytes=1 << 20
)


class _Answer(StrictModel):
    loss: Digest
    metrics: Digest


def export_again(site: Site, digest: str, cancel: Cancel) -> None:
    """Export the source of the study with this digest again, and write down what came of it."""
    with reading(site.engine) as connection:
        request = find_request(connection, digest)
        data_set = None if request is None else require_data_set(connection, request.data_set)
    if request is None or data_set is None:
        return
    try:
        found = _second_export(request, data_set, cancel)
    except CloisterError as error:
        report(f"The source of request {request.number} could not be exported again: {error}")
        found = SecondExport("failed", "the sandbox")
    if found is not None:
        with site.engine.begin() as connection:
            keep_second_export(connection, request.digest, found)


def _second_export(request: Request, data_set: DataSet, cancel: Cancel) -> SecondExport | None:
    """What came of it; None if it was stopped."""
    require_as_received(request)
    manifest, written = data_set.manifest, bytearray()
    tokens = request.terms.programs.tokens
    errand = Errand(
        program="script",
        script="/job/main.py",
        files={
            "/job/main.py": _SCRIPT,
            "/job/source.py": request.source.encode(),
            "/job/record.json": manifest.record_form(None if tokens is None else tokens.form).canonical(),
        },
        shown=(),
        working_folder="/job",
        collected="/answer",
        environment={},
        limits=_LIMITS,
        packages=True,
    )
    # A sandbox of its own, which ends with it: a study is seldom followed by another one of the same researcher.
    with Zygote(niceness=_NICENESS, errands="one") as zygote:
        outcome = zygote.run(errand, written.extend, cancel)
    if outcome.ending == "cancelled":
        return None
    if outcome.ending != "finished" or len(outcome.outputs) != 1:
        return SecondExport("failed", outcome.error or outcome.ending)
    answer = parse_model(_Answer, bytes(written), maximum_bytes=_MAXIMUM_ANSWER_BYTES, what="The second export")
    programs = request.terms.programs
    same = (answer.loss, answer.metrics) == (programs.loss, programs.metrics)
    return SecondExport("agrees" if same else "differs", "")
