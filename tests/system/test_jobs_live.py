"""Jobs at a datasite in a process of its own: to their result, side by side, and cancelled while they run."""

import time
from typing import Any

from datasites.protocol.content import LetterContent
from datasites.protocol.job_messages import JobCancel
from datasites.requests.jobs.records import Status
from policies.jobs.terms import JobTerms
from tests.demo.commands import datasite
from tests.one_job import COUNT
from tests.site_folder import PASSPHRASE
from tests.system.live_jobs import SLEEPS, LiveJobs
from tests.system.waiting import eventually, wait_until_gone


def running(live_jobs: LiveJobs, name: str) -> tuple[JobTerms, set[int]]:
    """A job that sleeps in the sandbox, and its processes."""
    terms = live_jobs.pending(SLEEPS, name)
    live_jobs.approve(terms)
    live_jobs.stands(terms, Status.RUNNING)
    return terms, eventually(live_jobs.at_work, "a job in the sandbox")


def command(live_jobs: LiveJobs, *words: str, signed: bool = False) -> Any:
    """What the owner types."""
    folder = live_jobs.folder
    passphrase = folder / "passphrase"
    passphrase.write_bytes(PASSPHRASE)
    passphrase.chmod(0o600)
    key = ("--key-folder", str(folder / "owner"), "--passphrase-file", str(passphrase)) if signed else ()
    return datasite(*words, "--home", str(folder / "home"), *key)


def test_a_job_goes_to_its_result_by_commands(live_jobs: LiveJobs) -> None:
    terms = live_jobs.pending(COUNT, "by commands")
    number = str(live_jobs.stands(terms, Status.PENDING).number)
    shown = command(live_jobs, "show", number)
    command(live_jobs, "approve", shown["approval_digest"], signed=True)
    live_jobs.told(terms, "held")
    shown = command(live_jobs, "show", number)
    command(live_jobs, "release", shown["release_digest"], signed=True)
    live_jobs.told(terms, "released")
    (sent,) = eventually(lambda: live_jobs.outputs(terms), "outputs")
    assert isinstance(sent.content, LetterContent)
    assert sent.content.plain() == b'{"rows": 200}'
    assert live_jobs.outputs(terms, "eve") == []


def test_a_researcher_stops_a_running_job_at_once(live_jobs: LiveJobs) -> None:
    terms, processes = running(live_jobs, "stopped by ada")
    began = time.monotonic()
    live_jobs.write(JobCancel(job=terms.job, reason="Not needed."))
    for process in processes:
        wait_until_gone(process, 2.0)
    assert time.monotonic() - began < 2.0
    told = live_jobs.told(terms, "cancelled")
    assert (told.ending, told.milliseconds) == (None, None)


def test_its_owner_stops_a_running_job_at_once(live_jobs: LiveJobs) -> None:
    terms, processes = running(live_jobs, "stopped by its owner")
    number = str(live_jobs.stands(terms, Status.RUNNING).number)
    command(live_jobs, "cancel", number, "--reason", "Enough.")
    for process in processes:
        wait_until_gone(process, 2.0)
    assert live_jobs.told(terms, "cancelled").detail == "The owner cancelled: Enough."


def test_a_job_that_runs_long_holds_up_nobodys_dry_run(live_jobs: LiveJobs) -> None:
    terms, processes = running(live_jobs, "long")
    hers = live_jobs.pending(COUNT, "hers", by="eve")
    assert live_jobs.told(hers, "pending", by="eve").decision is None
    assert processes <= live_jobs.sandboxed()
    command(live_jobs, "cancel", str(live_jobs.stands(terms, Status.RUNNING).number), "--reason", "x")


def test_a_service_that_is_stopped_ends_what_runs(live_jobs: LiveJobs) -> None:
    """And says so: the job has failed, and nothing of it is left running."""
    terms, processes = running(live_jobs, "cut short")
    assert live_jobs.process is not None
    live_jobs.process.terminate()
    assert live_jobs.process.wait(30) is not None
    for process in processes:
        wait_until_gone(process, 2.0)
    live_jobs.serve()
    live_jobs.stands(terms, Status.FAILED)
    assert live_jobs.told(terms, "failed").detail.startswith("The datasite was stopped")
