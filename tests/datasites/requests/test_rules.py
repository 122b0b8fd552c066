"""What the house rules do beside approvals: what researchers are shown, and what waits too long for a decision."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from datasites.execution.jobs.job_worker import JobWorker
from datasites.protocol.job_messages import PeerReply, PeerRequest
from datasites.protocol.messages import CatalogReply, StudyStatus
from datasites.requests.catalog import answer_catalog
from datasites.requests.close import close_expired
from datasites.requests.contacts import ask_for_contact
from datasites.requests.jobs.close import close_expired_jobs, next_job_expiry
from datasites.requests.jobs.records import Status as JobStatus
from datasites.requests.patience import patience_seconds
from datasites.requests.records import Status, next_expiry
from policies.errors import RefusedError
from researcher.approvals import require_approval
from tests.one_job import JobScene
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY
from tests.site_folder import NOW

WEEK = 7 * 86_400


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_scene(tmp_path, database)


def test_what_the_rules_do_not_show_is_not_shown(scene: Scene) -> None:
    for rule in ("allowance", "mock", "packages"):
        scene.rule(f"{rule} = true", f"{rule} = false")
    with scene.site.engine.begin() as connection, ExitStack() as files:
        answer_catalog(connection, scene.site, scene.researcher.card, files, NOW)
        asks = PeerRequest(contact="ada@uni.example")
        ask_for_contact(connection, scene.site, scene.researcher.card, asks, ("numpy==2.0",), NOW)
    catalog, peer = scene.letters(CatalogReply, PeerReply)
    assert isinstance(catalog, CatalogReply)
    assert isinstance(peer, PeerReply)
    assert catalog.data_sets[0].allowance is None
    assert peer.packages == ()


def test_the_packages_that_are_not_shown_are_not_named_in_a_refusal_either(jobs: JobScene) -> None:
    jobs.scene.rule("packages = true", "packages = false")
    with pytest.raises(RefusedError) as refused:
        jobs.receive(requirements=("torch",))
    assert "torch" in str(refused.value)
    assert "numpy" not in str(refused.value)


def test_a_study_on_which_nobody_decides_expires_and_one_that_was_decided_on_does_not(scene: Scene) -> None:
    scene.rule("decide_within_days = 90", "decide_within_days = 7")
    until = {"expires_at": NOW + 3 * WEEK, "training": {"noise_multiplier": 20.0}}
    waiting, approved = scene.submit(**until), scene.approved(OTHER_STUDY, **until)
    with scene.site.engine.begin() as connection:
        patience = patience_seconds(connection, scene.site)
        assert next_expiry(connection, patience) == NOW + WEEK
        close_expired(connection, NOW + WEEK - 1, patience)
    assert scene.request(waiting.digest).status is Status.PENDING
    with scene.site.engine.begin() as connection:
        close_expired(connection, NOW + WEEK, patience)
        assert next_expiry(connection, patience) == NOW + 3 * WEEK
    assert scene.request(waiting.digest).status is Status.EXPIRED
    assert scene.request(approved.digest).status is Status.APPROVED
    assert scene.audit().broken == []


def test_a_job_on_which_nobody_decides_expires(jobs: JobScene) -> None:
    jobs.scene.rule("decide_within_days = 90", "decide_within_days = 7")
    job = jobs.receive(expires_at=NOW + 3 * WEEK)
    with jobs.scene.site.engine.begin() as connection:
        patience = patience_seconds(connection, jobs.scene.site)
        assert next_job_expiry(connection, NOW, patience) == NOW + WEEK
        assert not close_expired_jobs(connection, NOW + WEEK - 1, patience)
        assert close_expired_jobs(connection, NOW + WEEK, patience)
    assert jobs.job(job.digest).status is JobStatus.EXPIRED


@pytest.mark.both_databases
def test_while_the_rules_cannot_be_read_jobs_wait_and_fail_for_no_good(jobs: JobScene) -> None:
    """A fault of the site's is not the job's: it is tried once the rules are there again."""
    job = jobs.receive()
    adopted = jobs.scene.rules().signed.canonical().decode()
    jobs.scene.tamper("UPDATE adopted_rules SET statement = '{}'")
    assert not JobWorker(jobs.scene.site).try_next()
    assert jobs.job(job.digest).status is JobStatus.RECEIVED
    jobs.scene.tamper("UPDATE adopted_rules SET statement = :it", it=adopted)
    jobs.scene.site.home.house_rules_file.write_text("minimum_cohort = three")
    assert jobs.worker.try_next()
    assert jobs.job(job.digest).status is JobStatus.PENDING


@pytest.mark.both_databases
def test_a_researcher_checks_on_what_ground_the_rules_approved(scene: Scene) -> None:
    text = scene.site.home.house_rules_file.read_text()
    scene.adopt(text + "[auto_approval]\nstudies_a_quarter = 1\nmaximum_epsilon = 5.0\n")
    small = {"training": {"noise_multiplier": 20.0}}
    first = scene.approved(**small)
    second = scene.submit(OTHER_STUDY, **small)
    told = scene.letters(StudyStatus)[-1]
    assert isinstance(told, StudyStatus)
    assert (told.status, told.decision, told.ground) == ("approved", None, second.ground)
    assert told.ground is not None
    card, ground = scene.site.identity.card, told.ground
    require_approval(ground, card, second.terms)
    with pytest.raises(RefusedError, match="something else than these terms"):
        require_approval(ground, card, first.terms)
    dearer = second.terms.model_copy(update={"privacy": second.terms.privacy.model_copy(update={"epsilon": 9.0})})
    with pytest.raises(RefusedError, match="do not let be"):
        require_approval(ground, card, dearer)
