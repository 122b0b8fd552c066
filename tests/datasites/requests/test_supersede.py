"""A newer request of the same researcher replaces an older one that does not run: its reservation comes back."""

from pathlib import Path

import pytest

from datasites.protocol.messages import StudyClose, StudyStatus
from datasites.requests.jobs.records import Status as JobState
from datasites.requests.jobs.records import find_senders_job
from datasites.requests.records import Request, Status, find_study
from datasites.requests.withdraw import withdraw
from policies.errors import RefusedError
from policies.log.journal import entries
from policies.log.superseded_entries import RequestSuperseded
from tests.one_job import COUNT, JobScene, new_job_scene
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_scene(tmp_path, database)


def superseding(scene: Scene, older: Request) -> Request:
    return scene.receive(scene.terms(OTHER_STUDY, supersedes=older.digest))


def logged(scene: Scene) -> list[tuple[str, str]]:
    with scene.site.engine.begin() as connection:
        return [(it.request, it.by) for _, it in entries(connection) if isinstance(it, RequestSuperseded)]


def test_an_approved_study_gives_way_and_returns_its_reservation(scene: Scene) -> None:
    before = scene.balance()
    older = scene.approved()
    assert scene.balance() != before
    newer = superseding(scene, older)
    ended = scene.request(older.digest)
    assert (ended.status, ended.detail) == (Status.SUPERSEDED, "It was superseded by its researcher's «Sepsis».")
    assert scene.balance() == before
    assert logged(scene) == [(older.digest, newer.digest)]
    told = [it for it in scene.letters(StudyStatus) if isinstance(it, StudyStatus)]
    assert [(it.study, it.status) for it in told][-2:] == [
        (older.terms.study, "superseded"),
        (newer.terms.study, "received"),
    ]
    assert newer.status is Status.RECEIVED
    assert scene.audit().broken == []


def test_a_pending_study_gives_way(scene: Scene) -> None:
    older = scene.submit()
    superseding(scene, older)
    assert scene.request(older.digest).status is Status.SUPERSEDED
    assert scene.audit().broken == []


def test_a_study_that_runs_is_not_replaced(scene: Scene) -> None:
    older = scene.ready()
    assert scene.ask(older, 1)
    with pytest.raises(RefusedError, match="runs already"):
        superseding(scene, older)
    with scene.site.engine.begin() as connection:
        assert find_study(connection, older.sender, OTHER_STUDY) is None
    assert scene.request(older.digest).status is Status.RUNNING
    assert logged(scene) == []


def test_one_that_ended_or_that_nobody_knows_here_is_left_alone(scene: Scene) -> None:
    older = scene.receive(scene.terms(supersedes="b" * 64))
    with scene.site.engine.begin() as connection:
        withdraw(connection, older.sender, StudyClose(study=older.terms.study, reason="enough"), scene.now)
    assert superseding(scene, older).status is Status.RECEIVED
    assert scene.request(older.digest).status is Status.CLOSED
    assert logged(scene) == []


def test_nobody_replaces_what_another_asked_for(scene: Scene) -> None:
    older = scene.approved()
    eve = scene.other_researcher
    terms = scene.terms(OTHER_STUDY, supersedes=older.digest).model_copy(update={"researcher": eve.party})
    assert scene.receive(terms, sender=eve.card).status is Status.RECEIVED
    assert scene.request(older.digest).status is Status.APPROVED
    assert logged(scene) == []
    assert scene.audit().broken == []


@pytest.fixture
def jobs(tmp_path: Path, database: str) -> JobScene:
    return new_job_scene(tmp_path, database)


def test_a_job_that_waits_gives_way(jobs: JobScene) -> None:
    older = jobs.receive()
    newer = jobs.receive(name="count better", supersedes=older.digest)
    assert jobs.job(older.digest).status is JobState.SUPERSEDED
    assert jobs.job(older.digest).code_file is None
    assert logged(jobs.scene) == [(older.digest, newer.digest)]
    assert jobs.scene.audit().broken == []


def test_a_job_that_failed_gives_way_and_is_not_approved_again(jobs: JobScene) -> None:
    older = jobs.receive()
    jobs.scene.tamper("UPDATE jobs SET status = 'failed'")
    digest = jobs.shown(older).approval_digest
    newer = jobs.receive(name="count better", supersedes=older.digest)
    assert (jobs.job(older.digest).status, jobs.job(older.digest).code_file) == (JobState.SUPERSEDED, None)
    with pytest.raises(RefusedError, match="No job that waits"):
        jobs.approve(older, digest)
    assert logged(jobs.scene) == [(older.digest, newer.digest)]
    assert jobs.scene.audit().broken == []


def test_a_job_that_failed_and_never_runs_again_is_left_alone(jobs: JobScene) -> None:
    older = jobs.receive()
    jobs.scene.tamper("UPDATE jobs SET status = 'failed', code_file = NULL")
    jobs.receive(name="count better", supersedes=older.digest)
    assert jobs.job(older.digest).status is JobState.FAILED
    assert logged(jobs.scene) == []


@pytest.mark.both_databases
@pytest.mark.parametrize("status", ["approved", "running", "held"])
def test_an_approved_job_is_answered_alike_whether_it_has_begun_or_not(jobs: JobScene, status: str) -> None:
    older = jobs.receive()
    jobs.scene.tamper("UPDATE jobs SET status = :status", status=status)
    with pytest.raises(RefusedError, match="was approved; cancel it"):
        jobs.receive(name="count better", supersedes=older.digest)
    jobs.scene.tamper("UPDATE jobs SET status = 'failed', tell_at = 9000000000000")
    with pytest.raises(RefusedError, match="was approved; cancel it"):
        jobs.receive(name="count better", supersedes=older.digest)
    with jobs.scene.site.engine.begin() as connection:
        assert find_senders_job(connection, older.sender, older.terms.job) is not None
    assert jobs.scene.count("jobs") == 1


def test_nobody_replaces_anothers_job(jobs: JobScene) -> None:
    older, eve = jobs.receive(), jobs.scene.other_researcher
    files = {"main.py": COUNT.encode()}
    terms = jobs.terms(files, name="mine", researcher=eve.party, supersedes=older.digest)
    jobs.receive(files, sender=eve.card, terms=terms)
    assert jobs.job(older.digest).status is JobState.RECEIVED
    assert logged(jobs.scene) == []
