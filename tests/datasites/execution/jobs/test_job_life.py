"""The life of a job on a real datasite, with a real sandbox: tried, approved, run once, inspected, released, told."""

import json

import pytest

from datasites.protocol.content import LetterContent
from datasites.requests.jobs.records import Status
from tests.one_job import JobScene


@pytest.mark.both_databases
def test_a_job_is_tried_on_mock_data_run_on_private_data_and_its_output_goes_to_its_researcher(jobs: JobScene) -> None:
    job = jobs.tried()
    assert job.status is Status.PENDING
    assert job.dry_run is not None
    assert (job.dry_run.ending, job.dry_run.outputs) == ("finished", ("result.json",)), job.dry_run
    jobs.approve(job)
    assert jobs.worker.run_next()
    assert jobs.worker.run_next()
    held = jobs.job(job.digest)
    assert (held.status, held.findings is not None) == (Status.HELD, True)
    jobs.release(held)
    jobs.tell()
    (sent,) = jobs.outputs()
    assert isinstance(sent.content, LetterContent)
    assert json.loads(sent.content.plain()) == {"rows": 200}
    assert jobs.statuses()[-1].status == "released"
    report = jobs.scene.audit()
    assert report.broken == [], report
