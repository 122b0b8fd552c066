"""An approval is taken back at any time: nothing more of its request is charged, run or released."""

import threading

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.execution.answer_round import answer_round
from datasites.execution.charge_round import charge_next_round
from datasites.execution.trainer_result import RoundResult
from datasites.halts.halted import halts_of
from datasites.protocol.messages import StudyStatus
from datasites.requests.excluded import excluded_by_population
from datasites.requests.jobs.records import Status as JobStatus
from datasites.requests.records import Request, Status
from policies.errors import CloisterError, ConflictError, NotAuthenticError, RefusedError
from policies.log.budget_entries import ChargeMade
from policies.log.journal import entries
from policies.log.revocation_entries import ApprovalRevoked
from tests.halting import reserved, revoke
from tests.one_job import JobScene
from tests.one_site import Scene
from tests.one_study import PARAMETERS
from tests.site_folder import owner_key

REASON = "Consent was withdrawn."
SLEEPS_ON_PRIVATE_FILES = """
import time
import syft as sy
if "p000" in open(sy.resolve_dataset_file_path("visits")).read():
    time.sleep(600)
"""
NOISE = {"training": {"noise_multiplier": 40.0}, "evaluation": {"noise_multiplier": 40.0}}


def result() -> RoundResult:
    return RoundResult(np.array([20.0, 5.0]), iter((np.zeros(PARAMETERS, np.float32),)), ("seccomp",))


def require_revoked(scene: Scene, request: Request) -> None:
    """It stands as revoked, its researcher reads why, nothing is reserved or can be asked for, and the log is whole."""
    stored = scene.request(request.digest)
    assert (stored.status, stored.detail) == (Status.REVOKED, f"Its approval was revoked: {REASON}")
    told = [it for it in scene.letters(StudyStatus) if isinstance(it, StudyStatus)][-1]
    assert (told.study, told.status, told.detail) == (request.terms.study, "revoked", stored.detail)
    assert reserved(scene) == (0, 0)
    with pytest.raises(RefusedError, match="Consent"):
        scene.ask(request, 1)
    assert scene.charge() is None
    assert scene.audit().broken == []


def test_an_approved_study_never_begins(scene: Scene) -> None:
    request = scene.approved()
    assert revoke(scene, request).went_out == ()
    require_revoked(scene, request)


def test_a_round_that_waits_is_never_charged(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    revoke(scene, request)
    require_revoked(scene, request)
    assert scene.balance().training.spent_units == 0


def test_a_round_that_is_being_computed_is_not_answered(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    revoke(scene, request)
    with pytest.raises(ConflictError):
        answer_round(scene.site, assignment, result())
    assert not scene.updates()
    require_revoked(scene, request)
    assert scene.balance().training.spent_units > 0


def test_an_answer_that_waits_for_witnesses_stays_in(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    answer_round(scene.site, assignment, result())
    revoke(scene, request)
    scene.witness()
    assert not scene.updates()
    require_revoked(scene, request)


def test_what_went_out_is_said_and_goes_out_no_more(scene: Scene) -> None:
    request = scene.ready()
    for number in range(1, request.terms.sums + 1):
        scene.compute(request, number)
    assert scene.request(request.digest).status is Status.DONE
    scene.send_all()
    done = revoke(scene, request)
    assert [(it.what, it.recipient) for it in done.went_out] == [
        (f"the answer to round {number}", "ada") for number in range(1, request.terms.sums + 1)
    ]
    require_revoked(scene, request)
    assert not scene.updates()
    with scene.site.engine.begin() as connection:
        shown = halts_of(connection, scene.site, request.digest)
    assert shown.went_out == done.went_out
    assert shown.revocation is not None


def test_only_what_was_approved_is_revoked_once_and_by_the_owner(scene: Scene) -> None:
    pending = scene.submit()
    with pytest.raises(ConflictError, match="no approval"):
        revoke(scene, pending)
    request = scene.approve(pending)
    scene.owner_key = Ed25519PrivateKey.generate()
    with pytest.raises(NotAuthenticError):
        revoke(scene, request)
    scene.owner_key = owner_key()
    revoke(scene, request)
    with pytest.raises(ConflictError, match="before"):
        revoke(scene, request)


@pytest.mark.both_databases
def test_a_worker_that_runs_charges_nothing_after_a_revocation(scene: Scene) -> None:
    asked = [scene.ready(f"{number}" * 32, **NOISE) for number in range(1, 5)]
    for request in asked:
        scene.ask(request, 1)
    begin = threading.Barrier(2)

    def work() -> None:
        begin.wait()
        for _ in range(2 * len(asked)):
            with scene.site.engine.begin() as connection:
                charge_next_round(connection, scene.site, scene.now)

    worker = threading.Thread(target=work)
    worker.start()
    begin.wait()
    for request in reversed(asked):
        revoke(scene, request)
    worker.join()
    with scene.site.engine.begin() as connection:
        found = [entry for _, entry in entries(connection)]
    for request in asked:
        after = found[
            next(
                place
                for place, it in enumerate(found)
                if isinstance(it, ApprovalRevoked) and it.signed.revocation.request == request.digest
            ) :
        ]
        assert not [it for it in after if isinstance(it, ChargeMade) and it.request == request.digest]
    assert reserved(scene) == (0, 0)
    assert scene.audit().broken == []


# ---- jobs


def test_an_approved_job_never_runs(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried())
    revoke(jobs.scene, job)
    assert not jobs.worker.run_next()
    assert jobs.job(job.digest).status is JobStatus.REVOKED
    assert jobs.statuses()[-1].detail == f"Its approval was revoked: {REASON}"
    with pytest.raises(CloisterError):
        jobs.approve(job)
    assert jobs.scene.audit().broken == []


@pytest.mark.both_databases
def test_a_job_that_runs_is_killed(jobs: JobScene) -> None:
    running = jobs.approve(jobs.tried(SLEEPS_ON_PRIVATE_FILES))
    worker = threading.Thread(target=jobs.worker.run_next)
    worker.start()
    while jobs.job(running.digest).status is not JobStatus.RUNNING:
        worker.join(0.05)
    revoke(jobs.scene, running)
    jobs.worker.stop_closed()
    worker.join(30)
    assert not worker.is_alive()
    stored = jobs.job(running.digest)
    assert (stored.status, stored.run, stored.outputs_file) == (JobStatus.REVOKED, None, None)
    assert jobs.scene.audit().broken == []


def test_held_outputs_stay_in(jobs: JobScene) -> None:
    job = jobs.ran()
    assert job.status is JobStatus.HELD
    revoke(jobs.scene, job)
    with pytest.raises(CloisterError):
        jobs.release(job)
    jobs.tell()
    assert not jobs.outputs()
    assert jobs.scene.audit().broken == []


def test_outputs_that_were_let_go_and_not_sent_stay_in(jobs: JobScene) -> None:
    job = jobs.release(jobs.ran())
    assert revoke(jobs.scene, job).went_out == ()
    jobs.tell()
    assert not jobs.outputs()
    assert jobs.scene.audit().broken == []


@pytest.mark.both_databases
def test_outputs_that_went_out_are_still_counted(jobs: JobScene) -> None:
    jobs.register("linked", people_of="clinic-a")
    job = jobs.release(jobs.ran('open("outputs/result.txt", "w").write("none")', data_sets=("linked",)))
    jobs.tell()
    assert jobs.outputs()
    with jobs.scene.site.engine.begin() as connection:
        before = excluded_by_population(connection)
    assert before
    assert [it.what for it in revoke(jobs.scene, job).went_out] == ["the outputs of execution 1"]
    with jobs.scene.site.engine.begin() as connection:
        assert excluded_by_population(connection) == before
    assert jobs.scene.audit().broken == []
