"""P2 under attack where something was halted: rows are edited, old words are replayed, words are forged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from datasites.execution.release_round import release_witnessed
from datasites.halts.revoked import revocation_of
from datasites.halts.stopped import is_stopped
from datasites.protocol.job_messages import JobOutputs
from datasites.requests.jobs import tell
from datasites.requests.jobs.records import Status as JobStatus
from datasites.requests.records import Request, Status
from policies.errors import NotAuthenticError, RefusedError
from policies.log.budget_entries import ChargeMade
from policies.log.entries import UpdateReleased
from policies.log.job_entries import JobStarted, OutputsReleased
from policies.log.journal import entries
from policies.people.revocation import Revocation, sign_revocation
from policies.people.stop import Resumption, sign_resumption
from tests.attacks.signed_by_people import genuine
from tests.halting import resume, revoke, stop
from tests.one_job import JobScene
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY
from tests.site_people import Holder, hire

STRANGER = Ed25519PrivateKey.generate()
NOISE = {"training": {"noise_multiplier": 40.0}, "evaluation": {"noise_multiplier": 40.0}}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def happened(scene: Scene, *kinds: type) -> int:
    with scene.site.engine.begin() as connection:
        return sum(isinstance(entry, kinds) for _, entry in entries(connection))


def in_row(scene: Scene, query: str) -> str:
    with scene.site.engine.begin() as connection:
        return str(connection.execute(text(query)).scalar_one())


def stopped(scene: Scene) -> bool:
    with scene.site.engine.begin() as connection:
        return is_stopped(connection, scene.site)


def forge_revocation(scene: Scene, asked: Request, key: Ed25519PrivateKey, **changes: object) -> None:
    statement = Revocation(
        version="cloister-revocation/1",
        site=scene.site.identity.party,
        request=asked.digest,
        reason="I say so.",
        revoked_at=scene.now,
    )
    signed = sign_revocation(key, None, statement.model_copy(update=changes))
    scene.tamper(
        "INSERT INTO revocations (request, statement) VALUES (:digest, :signed)",
        digest=asked.digest,
        signed=signed.canonical().decode(),
    )


# ---- rows set back behind the datasite's back


def test_a_study_set_back_to_running_is_neither_charged_nor_answered(scene: Scene) -> None:
    """The row says running, with its reservation and round as they were; the signed revocation stands."""
    request = scene.ready()
    scene.ask(request, 1)
    model = in_row(scene, "SELECT model_file FROM rounds")
    digest, run = in_row(scene, "SELECT model_digest FROM rounds"), in_row(scene, "SELECT run FROM rounds")
    revoke(scene, request)
    scene.tamper("UPDATE requests SET status = 'running', detail = 'Round 1 of 3.'")
    scene.tamper("UPDATE reservations SET state = 'open', closed_at = NULL")
    scene.tamper(
        "INSERT INTO rounds (request, round, run, state, attempt, turn, model_digest, model_file) "
        "VALUES (:request, 1, :run, 'asked', 1, 9, :digest, :model)",
        request=request.digest,
        run=run,
        digest=digest,
        model=model,
    )
    assert scene.charge() is None
    assert happened(scene, ChargeMade) == 0
    with pytest.raises(RefusedError, match="revoked"):
        scene.ask(request, 1)
    assert scene.audit().broken == []


def test_a_revoked_study_set_back_to_pending_is_not_approved_again(scene: Scene) -> None:
    request = scene.approved()
    revoke(scene, request)
    scene.tamper("UPDATE requests SET status = 'pending', decision = NULL")
    with pytest.raises(RefusedError, match="revoked"):
        scene.approve(request)


def test_an_answer_set_back_to_waiting_is_not_released(scene: Scene) -> None:
    request = scene.ready()
    scene.compute(request, 1)
    scene.send_all()
    message = in_row(scene, "SELECT message FROM rounds")
    revoke(scene, request)
    scene.tamper("UPDATE requests SET status = 'running'")
    scene.tamper("UPDATE rounds SET message = :message, awaited_size = 1", message=message)
    with scene.site.engine.begin() as connection:
        release_witnessed(connection, scene.site, scene.now)
    assert happened(scene, UpdateReleased) == 1
    assert not scene.updates()


def test_a_revoked_job_set_back_to_approved_does_not_run(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried())
    revoke(jobs.scene, job)
    jobs.scene.tamper("UPDATE jobs SET status = 'approved', code_file = :file", file=job.code_file)
    assert not jobs.worker.run_next()
    assert happened(jobs.scene, JobStarted) == 0


def test_a_revoked_job_set_back_to_pending_or_held_gets_no_other_word(jobs: JobScene) -> None:
    job = jobs.ran()
    kept = "run", "outputs_file", "findings", "findings_seal"
    values = {name: in_row(jobs.scene, f"SELECT {name} FROM jobs") for name in kept}  # noqa: S608
    revoke(jobs.scene, job)
    fields = ", ".join(f"{name} = :{name}" for name in kept)
    jobs.scene.tamper(f"UPDATE jobs SET status = 'held', {fields}", **values)  # noqa: S608
    with pytest.raises(RefusedError, match="revoked"):
        jobs.release(job)
    jobs.scene.tamper("UPDATE jobs SET status = 'pending', code_file = :file", file=job.code_file)
    with pytest.raises(RefusedError, match="revoked"):
        jobs.approve(job)


def test_outputs_of_a_revoked_job_set_back_to_released_stay_in(jobs: JobScene) -> None:
    job = jobs.release(jobs.ran())
    kept = "run", "outputs_file", "findings", "findings_seal", "release"
    values = {name: in_row(jobs.scene, f"SELECT {name} FROM jobs") for name in kept}  # noqa: S608
    revoke(jobs.scene, job)
    fields = ", ".join(f"{name} = :{name}" for name in kept)
    jobs.scene.tamper(f"UPDATE jobs SET status = 'released', tell_at = 0, {fields}", **values)  # noqa: S608
    jobs.tell()
    assert happened(jobs.scene, OutputsReleased) == 0
    assert not jobs.outputs()
    assert jobs.job(job.digest).status is JobStatus.FAILED


# ---- races


@pytest.mark.parametrize("halt", [revoke, stop])
def test_a_release_that_races_with_a_halt_sends_nothing(
    jobs: JobScene, halt: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.release(jobs.ran())
    seal = tell._outputs

    def sealed(*arguments: Any) -> JobOutputs:
        made = seal(*arguments)
        halt(jobs.scene, *((job,) if halt is revoke else ()))
        return made

    monkeypatch.setattr(tell, "_outputs", sealed)
    jobs.tell()
    assert not jobs.outputs()
    assert happened(jobs.scene, OutputsReleased) == 0
    if halt is stop:
        resume(jobs.scene)
        monkeypatch.undo()
        jobs.tell()
        assert len(jobs.outputs()) == 1
    assert jobs.scene.audit().broken == []


# ---- forged and replayed words


@pytest.mark.parametrize("forgery", ["a stranger's key", "another request's", "another site's"])
def test_a_revocation_that_nobody_signed_is_no_revocation_and_nothing_runs_under_it(scene: Scene, forgery: str) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    match forgery:
        case "a stranger's key":
            forge_revocation(scene, request, STRANGER)
        case "another request's":
            forge_revocation(scene, request, scene.owner_key, request="ab" * 32)
        case "another site's":
            forge_revocation(scene, request, scene.owner_key, site="ab" * 32)
    with scene.site.engine.begin() as connection, pytest.raises(NotAuthenticError):
        revocation_of(connection, scene.site, request.digest)
    assert scene.charge() is None
    assert happened(scene, ChargeMade) == 0
    assert scene.request(request.digest).status is Status.FAILED


def test_a_revocation_put_under_another_request_takes_nothing_back_in_its_owners_name(scene: Scene) -> None:
    first, second = scene.approved(**NOISE), scene.approved(OTHER_STUDY, **NOISE)
    revoke(scene, first)
    scene.tamper(
        "INSERT INTO revocations SELECT :second, statement FROM revocations WHERE request = :first",
        second=second.digest,
        first=first.digest,
    )
    with pytest.raises(NotAuthenticError, match="another request"):
        scene.start(second)


def test_an_old_resumption_ends_no_new_stop(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    stop(scene)
    resume(scene)
    stop(scene)
    scene.tamper("UPDATE stops SET resumption = (SELECT resumption FROM stops WHERE serial = 1) WHERE serial = 2")
    assert stopped(scene)
    assert scene.charge() is None
    resume(scene)
    assert not stopped(scene)
    assert scene.audit().broken == []


@pytest.mark.parametrize("word", ["a stranger's", "no statement", "a reviewer's of the owner's stop"])
def test_a_forged_resumption_ends_nothing(scene: Scene, word: str) -> None:
    bea, request = hire(scene, Holder("Bea")), scene.ready()
    scene.ask(request, 1)
    made = stop(scene)
    resumption = Resumption(
        version="cloister-resumption/1", site=scene.site.identity.party, stop=made.digest(), resumed_at=scene.now
    )
    key, appointment = (bea.key, genuine(scene, bea)) if "reviewer" in word else (STRANGER, None)
    signed = sign_resumption(key, appointment, resumption).canonical().decode()
    scene.tamper("UPDATE stops SET resumption = :forged", forged="yes" if word == "no statement" else signed)
    assert stopped(scene)
    assert scene.charge() is None
    with pytest.raises(RefusedError, match="stopped"):
        scene.ask(request, 1)
    assert happened(scene, ChargeMade) == 0


def test_an_old_stop_put_back_ends_with_its_own_resumption(scene: Scene) -> None:
    stop(scene)
    resume(scene)
    stop(scene)
    resume(scene)
    scene.tamper("UPDATE stops SET resumption = NULL WHERE serial = 1")
    assert not stopped(scene)
