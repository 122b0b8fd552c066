"""When a researcher is told of a job that ended: no earlier than it may, once, whatever comes between."""

import json
import threading
from typing import Any

import pytest

from datasites.requests.jobs import tell as tell_module
from datasites.requests.jobs.records import Status
from datasites.requests.jobs.tell import tell_time
from datasites.serving.job_loops import JobLoops
from policies.errors import UnavailableError
from policies.log.job_entries import OutputsReleased
from tests.one_job import JobScene

FAILS = 'open("outputs/half.txt", "w").write("half")\nprint("secret of p001")\nraise KeyError("p001")'


def test_nothing_is_told_before_its_time(jobs: JobScene) -> None:
    job = jobs.run(jobs.approve(jobs.tried()))
    assert (job.status, job.approved_at) == (Status.HELD, jobs.scene.now * 1000)
    assert job.tell_at == jobs.scene.now * 1000 + 100
    told = len(jobs.statuses())
    jobs.worker.tell_next()
    jobs.receive(terms=job.terms)
    (asked,) = jobs.statuses()[told:]
    assert (asked.status, asked.ending, asked.milliseconds) == ("approved", None, None)
    jobs.scene.clock.seconds += 0.101
    jobs.worker.tell_next()
    assert (jobs.statuses()[-1].status, jobs.statuses()[-1].milliseconds) == ("held", 100)


@pytest.mark.both_databases
def test_an_early_release_is_told_no_earlier(jobs: JobScene) -> None:
    jobs.release(jobs.ran())
    jobs.worker.tell_next()
    assert jobs.outputs() == []
    assert jobs.statuses()[-1].status == "approved"
    jobs.scene.clock.seconds += 0.101
    jobs.worker.tell_next()
    assert len(jobs.outputs()) == 1


def test_released_outputs_stay_while_the_site_is_set_back(jobs: JobScene) -> None:
    job = jobs.release(jobs.ran())
    jobs.scene.tamper(
        "INSERT INTO set_backs (witness, checkpoint, balance, noticed_at) VALUES (:witness, '', '', 1)",
        witness=jobs.scene.partners[0].party,
    )
    jobs.tell()
    assert jobs.outputs() == []
    assert jobs.job(job.digest).tell_at is not None
    assert jobs.logged(OutputsReleased) == []
    jobs.scene.tamper("DELETE FROM set_backs")
    jobs.tell()
    assert len(jobs.outputs()) == 1
    assert jobs.scene.audit().broken == []


def test_when_the_next_job_begins_is_not_told(jobs: JobScene) -> None:
    """It is when the one before has ended, to the millisecond."""
    first, second = (jobs.approve(jobs.tried(name=name)) for name in ("first", "second"))
    told = len(jobs.statuses())
    jobs.scene.clock.seconds += 1.234
    jobs.run(first)
    assert len(jobs.statuses()) == told
    ends = [jobs.job(it.digest).tell_at for it in (first, second)]
    assert ends[0] == ends[1] == tell_time(jobs.scene.site, second)


def test_outputs_of_two_jobs_are_told_of_apart(jobs: JobScene) -> None:
    first, second = jobs.ran(), jobs.ran(name="again")
    jobs.release(second)
    jobs.tell()
    (message,) = jobs.outputs()
    assert message.request == second.digest != first.digest
    assert json.loads(message.content.plain()) == {"rows": 200}  # type: ignore[union-attr]


@pytest.mark.both_databases
def test_outputs_that_the_disk_does_not_take_just_now_are_sent_later(
    jobs: JobScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the loop that tells goes on: a datasite does not end by a full disk."""
    jobs.release(jobs.ran())
    jobs.scene.clock.seconds += 10
    plain, stop, tries = jobs.scene.site.contents.enclosed, threading.Event(), [0]

    def full(*arguments: Any) -> Any:
        tries[0] += 1
        if tries[0] < 3:
            raise UnavailableError("This site's disk did not take this content; tell its owner.")
        return plain(*arguments)

    monkeypatch.setattr(type(jobs.scene.site.contents), "enclosed", lambda _self, *arguments: full(*arguments))
    monkeypatch.setattr("datasites.serving.lifecycle._SHORTEST_PAUSE_SECONDS", 0.01)
    loops = JobLoops(jobs.worker, stop, lambda: stop.set() if jobs.outputs() else None)
    loops.tell_of_jobs()
    assert tries == [3]
    assert len(jobs.outputs()) == 1


def test_a_release_that_comes_while_a_failure_is_told_is_sent(jobs: JobScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure was read before the release, and is written down after it."""
    job = jobs.ran(FAILS)
    jobs.scene.clock.seconds += 10
    plain = tell_module.released_outputs

    def slow(*arguments: Any) -> Any:
        found = plain(*arguments)
        if jobs.job(job.digest).release is None:
            jobs.release(job, logs=True)
        return found

    monkeypatch.setattr(tell_module, "released_outputs", slow)
    jobs.worker.tell_next()
    jobs.worker.tell_next()
    assert len(jobs.outputs()) == 1
