"""P2, attacked by letters: forged, replayed, poisoned and too large ones change no job, and the next one is taken."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from datasites.protocol.content import wrap
from datasites.protocol.identity import Identity
from datasites.protocol.job_messages import FileSetReply, JobCancel, JobOutputs, JobStatus, PeerReply
from datasites.requests.jobs.records import Status
from policies.log.job_entries import JobReceived
from tests.attacks.job_letters import JobLetters
from tests.one_job import COUNT, JobScene

CODE = {"main.py": COUNT.encode()}


@pytest.fixture
def letters(jobs: JobScene) -> JobLetters:
    return JobLetters(jobs)


def test_nobody_submits_in_anothers_name(letters: JobLetters) -> None:
    jobs = letters.jobs
    letters.post(letters.submission(jobs.terms(CODE)), jobs.scene.other_researcher)
    assert jobs.scene.count("jobs") == 0
    assert letters.refusals() == ["The terms name another researcher than the one who signed the message."]


def test_nobody_elses_signature_opens_the_box(letters: JobLetters) -> None:
    """Sealed with eve's key under ada's identity."""
    jobs = letters.jobs
    ada, eve = jobs.scene.researcher, jobs.scene.other_researcher

    class Pretender:
        party, signing = ada.party, eve.signing

    letters.post(letters.submission(jobs.terms(CODE)), Pretender())  # type: ignore[arg-type]
    assert jobs.scene.count("jobs") == 0
    letters.post(letters.submission(jobs.terms(CODE)))
    assert jobs.scene.count("jobs") == 1


def test_strangers_are_not_heard(letters: JobLetters, tmp_path_factory: pytest.TempPathFactory) -> None:
    stranger = Identity.create(tmp_path_factory.mktemp("stranger") / "it", "ada", "researcher")
    letters.post(letters.submission(letters.jobs.terms(CODE, researcher=stranger.party)), stranger)
    assert letters.jobs.scene.count("jobs") == 0
    assert letters.refusals() == []


def test_a_site_does_not_submit_jobs(letters: JobLetters) -> None:
    partner = letters.jobs.scene.partners[0]
    letters.post(letters.submission(letters.jobs.terms(CODE, researcher=partner.party)), partner)
    assert letters.jobs.scene.count("jobs") == 0


def states(job: str) -> list[BaseModel]:
    return [
        JobStatus(job=job, status="approved", detail="Yes.", decision=None, ending=None, milliseconds=None),
        JobStatus(job=job, status="released", detail="Yes.", decision=None, ending="finished", milliseconds=1),
        JobOutputs(job=job, request="0" * 64, attempt=1, files=(), content=wrap(b"")[0]),
        PeerReply(contact="ada@uni.example", accepted=True, packages=()),
        FileSetReply(total=0, offer=None),
    ]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("by_site", [False, True])
def test_no_state_is_written_by_its_sender(letters: JobLetters, kind: int, by_site: bool) -> None:
    jobs = letters.jobs
    job = jobs.tried()
    letters.post(states(job.terms.job)[kind], jobs.scene.partners[0] if by_site else None)  # type: ignore[arg-type]
    assert jobs.job(job.digest) == job
    assert "takes no message of type" in letters.refusals()[-1]


@pytest.mark.parametrize(
    "field",
    [{"status": "approved"}, {"decision": None}, {"approved_at": 1}, {"attempt": 0}, {"run": {}}, {"release": "clean"}],
)
def test_no_state_is_written_into_the_terms(letters: JobLetters, field: dict[str, Any]) -> None:
    terms = letters.jobs.terms(CODE)
    text = json.dumps(terms.model_dump(mode="json") | field, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    letters.post(letters.submission(terms, terms=text))
    assert letters.jobs.scene.count("jobs") == 0
    assert "Extra inputs" in letters.refusals()[-1]


def test_a_replayed_letter_does_nothing(letters: JobLetters) -> None:
    jobs = letters.jobs
    letter = letters.post(letters.submission())
    told = len(jobs.statuses())
    for _ in range(3):
        letters.take(letter)
    assert (jobs.scene.count("jobs"), len(jobs.statuses())) == (1, told)


def test_the_same_terms_in_a_new_letter_bring_nothing_new(letters: JobLetters) -> None:
    """Not even of a job that is over: it does not come to life again."""
    jobs = letters.jobs
    terms = jobs.terms(CODE)
    letters.post(letters.submission(terms))
    jobs.cancel(jobs.job(terms.digest()))
    letters.post(letters.submission(terms))
    assert jobs.job(terms.digest()).status is Status.CANCELLED
    assert not jobs.worker.try_next()
    assert len(jobs.logged(JobReceived)) == 1
    assert jobs.statuses()[-1].status == "cancelled"


def test_the_same_name_does_not_bring_other_code(letters: JobLetters) -> None:
    """Nor the same identifier: what was reviewed stays what it was."""
    jobs = letters.jobs
    job = jobs.tried()
    other = b"print('other')"
    for changes in ({}, {"job": job.terms.job, "name": "another"}, {"job": job.terms.job}):
        letters.post(letters.submission(jobs.terms({"main.py": other}, **changes), other))
        assert jobs.scene.count("jobs") == 1
    assert jobs.job(job.digest) == job
    letters.post(letters.submission(job.terms, other))
    assert dict(jobs.shown(job).code) == CODE


def test_a_neighbours_job_is_not_cancelled(letters: JobLetters) -> None:
    jobs = letters.jobs
    job = jobs.approve(jobs.tried())
    for sender in (jobs.scene.other_researcher, *jobs.scene.partners):
        letters.post(JobCancel(job=job.terms.job, reason="Mine."), sender)
    assert jobs.job(job.digest).status is Status.APPROVED
    assert letters.refusals() == ["This site knows no such job of yours."] * 3
    letters.post(JobCancel(job=job.terms.job, reason="Mine."))
    assert jobs.job(job.digest).status is Status.CANCELLED


def test_files_shared_with_somebody_else_are_not_asked_for(letters: JobLetters) -> None:
    jobs = letters.jobs
    jobs.register("beds", everybody=False, contacts=("eve@uni.example",))
    for names in (("beds",), ("visits", "beds")):
        letters.post(letters.submission(jobs.terms(CODE, data_sets=names)))
    assert jobs.scene.count("jobs") == 0
    assert set(letters.refusals()) == {"This site shows you no data set «beds»; look at what it offers."}
