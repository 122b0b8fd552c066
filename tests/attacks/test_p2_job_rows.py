"""P2, attacked in the database: whatever is changed there after an approval, nothing else runs.

By one who can write to the database and the folder of contents, and holds neither the owner's key nor the site's.
"""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.requests.jobs.records import Status
from policies.jobs.decision import SignedJobDecisions, sign_job_decision
from policies.log.job_entries import JobStarted
from tests.attacks.job_rows import columns, copy, edit, put
from tests.one_job import COUNT, PRIVATE, JobScene

STEAL = COUNT.replace('"rows": len(rows)', '"rows": rows')


def other_code_on_disk(jobs: JobScene) -> None:
    file = jobs.scene.site.home.folder / "contents" / columns(jobs, 1)["code_file"]
    file.write_bytes(file.read_bytes().replace(b"len(rows)", b"str(rows)"))


def other_terms_under_their_digest(jobs: JobScene) -> None:
    """The whole of another job's terms and code, under the identifier that was approved."""
    copy("terms", "code_file", "dry_run")(jobs)


def renamed(jobs: JobScene) -> None:
    other = columns(jobs, 2)
    jobs.scene.tamper("DELETE FROM jobs WHERE number = 2")
    for name in ("digest", "terms", "code_file", "dry_run", "job", "name"):
        put(name, other[name])(jobs)


def of_somebody_else(jobs: JobScene) -> None:
    put("sender", jobs.scene.other_researcher.party)(jobs)


def forged_decision(jobs: JobScene) -> None:
    """Signed by another key, under the owner's name."""
    stored = jobs.job(columns(jobs, 1)["digest"]).decision
    assert stored is not None
    forged = sign_job_decision(Ed25519PrivateKey.generate(), stored.decision)
    forged = forged.model_copy(update={"signer": stored.signed[0].signer})
    put("decision", SignedJobDecisions(signed=(forged,)).canonical().decode())(jobs)


def more_memory(jobs: JobScene) -> None:
    edit("decision", lambda it: it["signed"][0]["decision"]["limits"].update(memory_mib=4096))(jobs)


def more_outputs(jobs: JobScene) -> None:
    edit("dry_run", lambda it: it["files"].insert(0, {"kind": "output", "path": "all.csv", "size": 1}))(jobs)


def other_private_file(jobs: JobScene) -> None:
    """The set's row names another set's file, with that one's own commitment."""
    other = jobs.private.parent / "secret.csv"
    other.write_text(PRIVATE.replace("p0", "q0"))
    card = jobs.register("secret", private=other).card.canonical().decode()
    jobs.scene.tamper("UPDATE file_sets SET card = :it WHERE name = 'visits'", it=card)


def other_set_whole(jobs: JobScene) -> None:
    other_private_file(jobs)
    of_other = "(SELECT commitment FROM file_sets WHERE name = 'secret')"
    jobs.scene.tamper(f"UPDATE file_sets SET commitment = {of_other} WHERE name = 'visits'")  # noqa: S608 – a test's own words


HARMS: dict[str, Callable[[JobScene], None]] = {
    "other code on the disk": other_code_on_disk,
    "another job's code": copy("code_file"),
    "another job's terms": copy("terms"),
    "another job's terms and code": other_terms_under_their_digest,
    "another job under this one's approval": renamed,
    "another researcher's": of_somebody_else,
    "another job's approval": copy("decision"),
    "no approval": put("decision", None),
    "a forged approval": forged_decision,
    "an approval of more memory": more_memory,
    "other outputs than the dry run's": more_outputs,
    "no dry run": put("dry_run", None),
    "another private file": other_private_file,
    "another set of files": other_set_whole,
    "another attempt": put("attempt", 3),
}


@pytest.mark.parametrize("harm", HARMS)
def test_nothing_runs_but_what_was_approved(jobs: JobScene, harm: str) -> None:
    jobs.approve(jobs.tried())
    jobs.approve(jobs.tried(STEAL, name="other"))
    jobs.scene.tamper("UPDATE jobs SET status = 'pending' WHERE number = 2")
    HARMS[harm](jobs)
    while jobs.worker.run_next():
        pass
    row = columns(jobs, 1)
    assert (row["status"], row["run"], row["outputs_file"]) == ("failed", None, None)
    if row["attempt"] == 1:  # it was begun, and what it was to run was found to be changed
        assert harm in ("other code on the disk", "another job's code", "another private file")
    jobs.tell()
    assert jobs.outputs() == []


@pytest.mark.parametrize("attempt", [1, 5])
def test_an_approval_that_was_used_is_used_up(jobs: JobScene, attempt: int) -> None:
    job = jobs.ran()
    put("status", "approved")(jobs)
    put("attempt", attempt)(jobs)
    jobs.run(job)
    assert len(jobs.logged(JobStarted)) == 1
    assert jobs.job(job.digest).status is Status.FAILED


def test_an_approval_whose_use_was_wiped_out_shows_in_the_log(jobs: JobScene) -> None:
    """Whoever writes the database can make a job run again; the log then has two executions under one approval."""
    job = jobs.ran()
    for name, value in (("status", "approved"), ("attempt", 0), ("run", None)):
        put(name, value)(jobs)
    jobs.run(job)
    assert "no approval stands" in str(jobs.scene.audit().broken)


def test_a_denied_job_does_not_run_by_its_status(jobs: JobScene) -> None:
    job = jobs.tried()
    code = job.code_file
    jobs.deny(job)
    put("status", "approved")(jobs)
    put("code_file", code)(jobs)
    jobs.run(job)
    assert jobs.logged(JobStarted) == []
