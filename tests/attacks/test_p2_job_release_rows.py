"""P2, attacked in the database after a job has run: nothing leaves but what the owner, or its approval, let go."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.requests.jobs.records import Job, Status
from policies.jobs.release import SignedRelease, SignedReleases, sign_release
from policies.log.job_entries import ReleaseDecided
from policies.log.journal import append
from tests.attacks.job_rows import columns, copy, edit, put
from tests.one_job import COUNT, JobScene
from tests.site_people import ask_for

STEAL = COUNT.replace('"rows": len(rows)', '"rows": rows')
CLEAN = 'import json\njson.dump({"mean age": 49.5}, open("outputs/result.json", "w"))'
LEAK = 'import json\njson.dump({"patients": ["p001", "p002"]}, open("outputs/result.json", "w"))'


def released_with_other_files(jobs: JobScene, job: Job) -> None:
    """The owner released the outputs; the release in the database names the logs, too."""
    jobs.release(job)
    log = {"kind": "log", "path": "stdout.txt", "size": 8}
    edit("release", lambda it: it["signed"][0]["release"]["files"].append(log))(jobs)


def forged_release(jobs: JobScene, job: Job) -> None:
    jobs.release(job)
    stored = jobs.job(job.digest).release
    assert stored is not None
    forged = sign_release(Ed25519PrivateKey.generate(), stored.release)
    forged = forged.model_copy(update={"signer": stored.signed[0].signer})
    put("release", SignedReleases(signed=(forged,)).canonical().decode())(jobs)


def withheld_but_released(jobs: JobScene, job: Job) -> None:
    kept = job.outputs_file
    jobs.withhold(job)
    put("status", "released")(jobs)
    put("outputs_file", kept)(jobs)


def other_recipient(jobs: JobScene, job: Job) -> None:
    jobs.release(job)
    put("sender", jobs.scene.other_researcher.party)(jobs)


def anothers_release(jobs: JobScene, job: Job) -> None:
    jobs.release(jobs.ran(name="other"))
    copy("release")(jobs)
    put("status", "released")(jobs)


def anothers_outputs(jobs: JobScene, job: Job) -> None:
    jobs.release(job)
    jobs.ran(STEAL, name="other")
    copy("outputs_file")(jobs)


def anothers_run(jobs: JobScene, job: Job) -> None:
    jobs.release(job)
    jobs.ran(STEAL, name="other")
    copy("outputs_file", "run")(jobs)


def edited_outputs(jobs: JobScene, job: Job) -> None:
    jobs.release(job)
    file = jobs.scene.site.home.folder / "contents" / (job.outputs_file or "")
    file.write_bytes(file.read_bytes().replace(b"200", b"201"))


def shorter_outputs(jobs: JobScene, job: Job) -> None:
    jobs.release(job)
    file = jobs.scene.site.home.folder / "contents" / (job.outputs_file or "")
    file.write_bytes(file.read_bytes()[:-1])


def gone_outputs(jobs: JobScene, job: Job) -> None:
    jobs.release(job)
    (jobs.scene.site.home.folder / "contents" / (job.outputs_file or "")).unlink()


def by_status_alone(jobs: JobScene, job: Job) -> None:
    put("status", "released")(jobs)


def from_an_earlier_attempt(jobs: JobScene, job: Job) -> None:
    jobs.release(job)
    put("attempt", 2)(jobs)


def _alone(jobs: JobScene, job: Job, **changes: object) -> None:
    """The rules ask for two persons; the row and the log hold the word of one."""
    ask_for(jobs.scene, releases=2)
    jobs.release(job)
    with jobs.scene.site.engine.begin() as connection:
        text = connection.exec_driver_sql("SELECT statement FROM approvals").scalar_one()
        release = SignedRelease.model_validate_json(text).release.model_copy(update=changes)
        signed = sign_release(jobs.scene.owner_key, release)
        append(connection, ReleaseDecided(at=release.decided_at, signed=signed))
    put("release", SignedReleases(signed=(signed,)).canonical().decode())(jobs)
    put("status", "released")(jobs)


def one_word_of_two(jobs: JobScene, job: Job) -> None:
    _alone(jobs, job)


def one_who_says_that_one_is_enough(jobs: JobScene, job: Job) -> None:
    _alone(jobs, job, approvals=1)


RELEASES: dict[str, Callable[[JobScene, Job], None]] = {
    "other files": released_with_other_files,
    "a forged word": forged_release,
    "withheld, and called released": withheld_but_released,
    "another recipient": other_recipient,
    "another job's release": anothers_release,
    "another job's outputs": anothers_outputs,
    "another job's run": anothers_run,
    "edited outputs": edited_outputs,
    "shorter outputs": shorter_outputs,
    "no outputs": gone_outputs,
    "a status alone": by_status_alone,
    "an earlier attempt": from_an_earlier_attempt,
    "one person's word of two": one_word_of_two,
    "one person's word that one is enough": one_who_says_that_one_is_enough,
}


@pytest.mark.parametrize("harm", RELEASES)
def test_nothing_leaves_but_what_was_released(jobs: JobScene, harm: str) -> None:
    job = jobs.ran()
    RELEASES[harm](jobs, job)
    jobs.scene.tamper("UPDATE jobs SET tell_at = 1 WHERE number = 1")
    jobs.tell()
    assert [it for it in jobs.outputs() if it.request == job.digest] == []
    assert columns(jobs, 1)["tell_at"] is None


def test_findings_that_are_edited_to_clean_let_nothing_go(jobs: JobScene) -> None:
    jobs.rule("release_clean = true")
    clean, held = jobs.ran(CLEAN, name="clean"), jobs.ran(LEAK, name="leak")
    assert (clean.status, held.status) == (Status.RELEASED, Status.HELD)
    for names in (("findings",), ("findings", "findings_seal")):
        for name in names:
            put(name, columns(jobs, 1)[name], number=2)(jobs)
        jobs.scene.tamper("UPDATE jobs SET status = 'released', tell_at = 1 WHERE number = 2")
        jobs.tell()
        assert [it.request for it in jobs.outputs()] == [clean.digest]


@pytest.mark.parametrize("with_findings", [False, True])
def test_clean_outputs_of_one_job_do_not_leave_as_anothers(jobs: JobScene, with_findings: bool) -> None:
    """They are clean; but this is not who asked for them."""
    jobs.rule("release_clean = true")
    jobs.ran(CLEAN)
    jobs.ran(CLEAN.replace("49.5", "50.5"), name="other")
    copy("outputs_file", "run", *(("findings", "findings_seal") if with_findings else ()))(jobs)
    jobs.tell()
    assert [it.request for it in jobs.outputs()] == [columns(jobs, 2)["digest"]]


def test_what_was_approved_by_hand_does_not_leave_by_itself(jobs: JobScene) -> None:
    job = jobs.ran(CLEAN)
    edit("decision", lambda it: it["signed"][0]["decision"].update(release="clean"))(jobs)
    by_status_alone(jobs, job)
    jobs.tell()
    assert jobs.outputs() == []
