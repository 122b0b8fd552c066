"""P3, what outputs are called: no name hides an output from the inspection, or stops the datasite."""

import pytest

from datasites.requests.jobs.records import Status
from policies.disclosure.findings import parse_findings
from tests.one_job import COUNT, JobScene

ALL_ROWS = """
import pathlib
for name in NAMES:
    place = pathlib.Path("outputs") / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\\n".join(rows) if name == NAMES[-1] else "done")
"""
NAMES = (
    ["stdout.txt"],
    ["stdout.txt", "printed-stdout.txt"],
    ["stdout.txt", "printed-1-stdout.txt"],
    ["stdout.txt/all.txt"],
    ["stderr.txt", "printed-1-stderr.txt/all.txt"],
)


@pytest.mark.parametrize("names", NAMES, ids=str)
def test_an_output_called_like_a_log_is_inspected_like_any_other(jobs: JobScene, names: list[str]) -> None:
    jobs.rule("release_clean = true")
    job = jobs.ran(f"{COUNT}\nNAMES = {names}\n{ALL_ROWS}")
    assert job.status is Status.HELD
    assert job.findings is not None
    assert job.run is not None
    found = parse_findings(job.findings.encode())
    assert len(found.inspected) == len(job.run.files)
    assert "record-rows" in [it.check for it in found.found if it.output == names[-1]]
