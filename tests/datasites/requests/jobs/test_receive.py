"""What a job must bring to be taken in, and the sentence that says why it is not."""

from typing import Any

import pytest

from datasites.requests.jobs.receive import may_submit_job
from datasites.requests.jobs.records import Status
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.jobs.terms import CODE_FILE_DOMAIN, CodeFile
from policies.log.job_entries import JobReceived
from policies.statements.digests import digest
from tests.one_job import COUNT, JobScene
from tests.site_folder import NOW

MAIN = {"main.py": COUNT.encode()}


def refused(jobs: JobScene, kind: type[CloisterError], code: Any = COUNT, **changes: Any) -> str:
    before = jobs.scene.count("jobs")
    with pytest.raises(kind) as error:
        jobs.receive(code, **changes)
    assert jobs.scene.count("jobs") == before
    return str(error.value)


def test_a_job_is_frozen_logged_and_told(jobs: JobScene) -> None:
    job = jobs.receive()
    assert (job.status, job.sender, job.number) == (Status.RECEIVED, jobs.scene.researcher.party, 1)
    (entry,) = jobs.logged(JobReceived)
    assert (entry.request, entry.terms) == (job.digest, job.terms)
    (told,) = jobs.statuses()
    assert (told.status, told.job, told.decision, told.ending) == ("pending", job.terms.job, None, None)


def test_studies_and_jobs_are_counted_together(jobs: JobScene) -> None:
    study = jobs.scene.submit()
    assert (study.number, jobs.receive().number, jobs.receive(name="again").number) == (1, 2, 3)


def test_the_same_job_again_is_only_told_about(jobs: JobScene) -> None:
    terms = jobs.terms(MAIN)
    first, second = jobs.receive(terms=terms), jobs.receive(terms=terms)
    assert first == second
    assert jobs.scene.count("jobs") == len(jobs.logged(JobReceived)) == 1
    assert [it.status for it in jobs.statuses()] == ["pending", "pending"]


def test_a_name_is_taken_once(jobs: JobScene) -> None:
    jobs.receive()
    assert "count visits" in refused(jobs, ConflictError)
    assert "count visits" in refused(jobs, ConflictError, "print(1)")
    assert jobs.receive(name="count beds").number == 2


def test_an_identifier_is_taken_once(jobs: JobScene) -> None:
    first = jobs.receive()
    assert "another name" in refused(jobs, ConflictError, name="other", job=first.terms.job)


def test_two_researchers_do_not_meet_in_names(jobs: JobScene) -> None:
    eve = jobs.scene.other_researcher
    first = jobs.receive()
    second = jobs.receive(sender=eve.card, researcher=eve.party, job=first.terms.job)
    assert (second.number, second.terms.name) == (2, first.terms.name)


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"researcher": "a" * 64}, NotAuthenticError, "another researcher"),
        ({"site": "a" * 64}, NotAuthenticError, "another site"),
        ({"expires_at": NOW}, RefusedError, "expired"),
        ({"data_sets": ("visits", "beds")}, InvalidInputError, "«beds»"),
        ({"requirements": ("torch>=2",)}, RefusedError, "This site offers numpy==2.4.6, pandas==3.1.1, syft==0.10.0."),
        ({"requirements": ("a @ http://x",)}, ValueError, ""),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(
    jobs: JobScene, changes: dict[str, Any], kind: type[CloisterError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        jobs.receive(**changes)
    assert jobs.scene.count("jobs") == 0


def test_a_job_may_see_no_files_at_all(jobs: JobScene) -> None:
    assert jobs.receive(data_sets=()).terms.data_sets == ()


def test_code_that_is_not_the_announced_one_is_refused(jobs: JobScene) -> None:
    terms = jobs.terms(MAIN)
    assert "main.py" in refused(jobs, NotAuthenticError, COUNT.replace("visits", "vizits"), terms=terms)
    assert "bytes" in refused(jobs, NotAuthenticError, COUNT + "\n", terms=terms)


def test_files_cannot_trade_their_bytes(jobs: JobScene) -> None:
    """Each file has a digest of its own: the same bytes cut elsewhere are other files."""
    code = {"a.py": b"x = 1", "main.py": b"import a"}
    terms = jobs.terms(code)
    moved = tuple(
        CodeFile(path=path, size=len(content), digest=digest(CODE_FILE_DOMAIN, code[path]))
        for path, content in (("a.py", b"x = 1import"), ("main.py", b" a"))
    )
    assert "a.py" in refused(jobs, NotAuthenticError, code, terms=terms.model_copy(update={"code": moved}))


@pytest.mark.parametrize(
    "source",
    [b"# -*- coding: utf-7 -*-\n# +AAo-print(1)\n", b"#!/usr/bin/python\n# vim: set fileencoding=latin-1 :\n",
     b"# coding: nonsense\n", b"\xef\xbb\xbf# coding: latin-1\n"],
)  # fmt: skip
def test_source_is_what_its_owner_reads(jobs: JobScene, source: bytes) -> None:
    """Python would decode a comment into other code than the one that is shown."""
    assert "UTF-8" in refused(jobs, InvalidInputError, {"main.py": source})
    assert "helper.py" in refused(jobs, InvalidInputError, {"helper.py": source, "main.py": b"import helper"})


def test_plain_utf_8_may_be_named(jobs: JobScene) -> None:
    jobs.receive({"main.py": "# -*- coding: utf-8 -*-\nprint('ä')\n".encode(), "data.bin": b"\xff\xfe"})


def test_too_many_that_wait_are_refused_before_anything_is_fetched(jobs: JobScene) -> None:
    ada, eve = jobs.scene.researcher.card, jobs.scene.other_researcher.card
    for number in range(20):
        jobs.receive(name=f"job {number}")
    with jobs.scene.site.engine.begin() as connection:
        with pytest.raises(RefusedError, match="wait for a decision"):
            may_submit_job(connection, ada, jobs.scene.now)
        may_submit_job(connection, eve, jobs.scene.now)


@pytest.mark.both_databases
def test_a_researcher_cannot_fill_the_log_in_a_day(jobs: JobScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Submitted and cancelled again and again: each leaves its terms in the log for good."""
    monkeypatch.setattr("datasites.requests.jobs.receive._MOST_A_DAY", 3)
    for number in range(3):
        jobs.cancel(jobs.receive(name=f"job {number}"))
    ada = jobs.scene.researcher.card
    with jobs.scene.site.engine.begin() as connection, pytest.raises(RefusedError, match="within a day"):
        may_submit_job(connection, ada, jobs.scene.now)
    jobs.scene.clock.seconds += 86_400
    with jobs.scene.site.engine.begin() as connection:
        may_submit_job(connection, ada, jobs.scene.now)


def test_only_researchers_submit_jobs(jobs: JobScene) -> None:
    with jobs.scene.site.engine.begin() as connection, pytest.raises(RefusedError, match="Only researchers"):
        may_submit_job(connection, jobs.scene.partners[0].card, jobs.scene.now)


@pytest.mark.both_databases
def test_files_that_are_shown_to_somebody_else_do_not_exist(jobs: JobScene) -> None:
    """The same sentence as for a set that is not there."""
    jobs.register("beds", everybody=False, contacts=("eve@uni.example",))
    hidden, missing = (refused(jobs, InvalidInputError, data_sets=(name,)) for name in ("beds", "none"))
    assert hidden.replace("beds", "none") == missing
