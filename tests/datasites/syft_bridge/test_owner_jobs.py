"""PySyft's words for jobs in an owner's session: each is the owner's signed word on exactly what was listed."""

from collections.abc import Iterator

import pytest
from syft_rds import SyftRDSClient

from datasites.catalog.file_sets import register_file_set
from datasites.requests.jobs.records import Job
from datasites.syft_bridge.owner_session import open_session
from policies.errors import RefusedError, UnavailableError
from policies.jobs.decision import verify_job_decisions
from tests.datasites.syft_bridge.owner_scene import asks, box, serving
from tests.one_job import PRIVATE, JobScene, new_job_scene

COPY = 'import shutil, syft as sy\nshutil.copy(sy.resolve_dataset_file_path("visits"), "outputs/all.csv")\n'


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobScene]:
    made = new_job_scene(tmp_path_factory.mktemp("owner"))
    yield made
    made.worker.stop_all()


@pytest.fixture(scope="module")
def client(scene: JobScene) -> SyftRDSClient:
    return open_session(scene.scene.site, lambda: scene.scene.owner_key)


def listed(client: SyftRDSClient, job: Job) -> object:
    return client.jobs[job.terms.name]


def test_approving_signs_what_was_listed(scene: JobScene, client: SyftRDSClient) -> None:
    asks(scene)
    job = scene.tried(name="approving")
    shown = listed(client, job)
    assert (shown.status, shown.datasite_owner_email) == ("pending", scene.scene.site.settings.contact)
    shown.approve("read it")
    stored = scene.job(job.digest)
    assert stored.decision is not None
    owner = scene.scene.owner_key.public_key().public_bytes_raw()
    assert verify_job_decisions(stored.decision, owner, stored.terms.researcher).verdict == "approve"
    assert listed(client, job).status == "approved"
    with pytest.raises(ValueError, match="not in pending status"):
        shown.approve()


def test_an_approval_covers_nothing_that_changed_since_the_listing(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="changed since")
    shown = listed(client, job)
    scene.private.write_text(PRIVATE + "p999,1,1\n")
    register_file_set(
        scene.scene.site,
        name="visits",
        summary="One row a visit.",
        readme="",
        tags=(),
        mock=scene.private.parent / "mock" / "visits.csv",
        private=scene.private,
        everybody=True,
        contacts=(),
    )
    with pytest.raises(RefusedError, match="as things stand now"):
        shown.approve()
    assert scene.job(job.digest).decision is None
    listed(client, job).approve()
    assert scene.job(job.digest).status == "approved"


def test_a_job_that_failed_runs_once_more_by_the_owners_word(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried("raise SystemExit(3)", name="failing")
    listed(client, job).approve()
    with serving(scene):
        client.process_approved_jobs()
    assert (listed(client, job).status, scene.job(job.digest).attempt) == ("failed", 1)
    listed(client, job).rerun()
    with serving(scene):
        client.process_approved_jobs()
    assert (listed(client, job).status, scene.job(job.digest).attempt) == ("failed", 2)


def test_rejecting_tells_the_reason(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="rejecting")
    listed(client, job).reject("Too broad.")
    assert scene.job(job.digest).detail == "The owner denied: Too broad."
    assert listed(client, job).status == "rejected"
    with pytest.raises(ValueError, match="not in pending status"):
        listed(client, job).reject("Again.")


def test_held_outputs_never_lie_in_the_box_and_leave_by_the_owners_word(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(COPY, name="copying")
    listed(client, job).approve()
    with serving(scene), pytest.warns(UserWarning, match="are held"):
        client.process_approved_jobs(share_outputs_with_submitter=True, share_logs_with_submitter=True)
    assert scene.job(job.digest).status == "held"
    shown = listed(client, job)
    assert (shown.status, shown.output_paths) == ("running", [])
    assert b"p000,20,0" not in box(scene)
    with pytest.raises(RefusedError, match="nobody else"):
        shown.share_outputs(["eve@lab.example"])
    shown.share_outputs([shown.submitted_by])
    assert scene.job(job.digest).status == "released"
    released = listed(client, job)
    assert (released.status, [it.name for it in released.output_paths]) == ("done", ["all.csv"])


def test_clean_outputs_are_shared_when_asked_to(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="clean")
    listed(client, job).approve()
    with serving(scene):
        client.process_approved_jobs(share_outputs_with_submitter=True)
    assert scene.job(job.digest).status == "released"
    kept = scene.tried(name="kept")
    listed(client, kept).approve()
    with serving(scene):
        client.process_approved_jobs()
    assert scene.job(kept.digest).status == "held"
    with serving(scene):
        client.process_approved_jobs(share_outputs_with_submitter=True)
    assert scene.job(kept.digest).status == "held", "what was processed before is not shared by a later call"


def test_cancelling(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="cancelling")
    listed(client, job).cancel("The ward closed.")
    assert scene.job(job.digest).detail == "The owner cancelled: The ward closed."
    assert listed(client, job).status == "failed"


def test_waiting_ends_where_nothing_serves(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="nobody serves")
    listed(client, job).approve()
    with pytest.raises(UnavailableError, match="has not ended in time"):
        client.process_approved_jobs(timeout=0)
    with pytest.raises(RefusedError, match="together with its outputs"):
        client.process_approved_jobs(share_logs_with_submitter=True)
