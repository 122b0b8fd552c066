"""An honest site's log of one job with three executions, written entry by entry, for the attacks on P5 to bend."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.jobs.decision import DataSetSnapshot, JobDecision, sign_job_decision
from policies.jobs.endings import Ending
from policies.jobs.release import OutputFact, ReleaseDecision, sign_release
from policies.jobs.terms import CodeFile, JobLimits, JobTerms
from policies.log import entries as log
from policies.log import job_entries as jobs
from policies.log.review_entries import RequestReviewed
from tests.attacks.honest_log import (
    ADOPTED,
    EXPIRES,
    FACTS,
    OPENED,
    OWNER,
    PINNED,
    POPULATION,
    RESEARCHER,
    RULES,
    Entries,
    changed,
    verify,
)
from tests.attacks.honest_rules_log import adopted, adoption

JOB_TERMS = JobTerms(
    version="cloister-job/1",
    job="0e" * 16,
    name="Stays by ward",
    researcher=RESEARCHER,
    site=FACTS.site,
    data_sets=("stays", "scans"),
    entrypoint="analysis.py",
    code=(CodeFile(path="analysis.py", size=120, digest="05" * 32),),
    requirements=("pandas>=2",),
    limits=JobLimits(wall_seconds=600, memory_mib=2048, disk_mib=512),
    purpose="Count stays by ward",
    legal_basis="Consent.",
    recipients="The study group",
    onward_use="None",
    supersedes=None,
    expires_at=EXPIRES,
)
JOB = JOB_TERMS.digest()
STAYS = jobs.FileSetRegistered(at=400, file_set="stays", commitment="06" * 32, population="patients")
SCANS = jobs.FileSetRegistered(at=401, file_set="scans", commitment="07" * 32, population=None)
JOB_RECEIVED = jobs.JobReceived(at=402, request=JOB, terms=JOB_TERMS)
JOB_TRIED = jobs.JobTried(at=403, request=JOB, report="08" * 32, layers=("landlock-4", "seccomp"))
JOB_REVIEWED = RequestReviewed(at=404, request=JOB, findings="0b" * 32)
JOB_DECISION = JobDecision(
    version="cloister-job-decision/1",
    site=FACTS.site,
    request=JOB,
    attempt=1,
    data_sets=tuple(
        DataSetSnapshot(name=it.file_set, commitment=it.commitment, population=it.population) for it in (STAYS, SCANS)
    ),
    limits=JOB_TERMS.limits,
    outputs=("result.json",),
    release="by-hand",
    house_rules=RULES.digest(),
    expires_at=EXPIRES,
    approvals=1,
    verdict="approve",
    reason="Reviewed.",
    decided_at=410,
)


def decided(attempt: int, key: Ed25519PrivateKey = OWNER, **changes: object) -> jobs.JobDecided:
    decision = JOB_DECISION.model_copy(update={"attempt": attempt, **changes})
    return jobs.JobDecided(at=400 + 10 * attempt, signed=sign_job_decision(key, decision))


def started(attempt: int, at: int | None = None) -> jobs.JobStarted:
    return jobs.JobStarted(at=401 + 10 * attempt if at is None else at, request=JOB, attempt=attempt)


def outputs(attempt: int) -> str:
    return f"{700 + attempt:064x}"


def ended(attempt: int, ending: Ending = "finished") -> jobs.JobEnded:
    return jobs.JobEnded(
        at=402 + 10 * attempt,
        request=JOB,
        attempt=attempt,
        ending=ending,
        commitment=outputs(attempt) if ending == "finished" else None,
        milliseconds=245,
        layers=("landlock-4", "seccomp"),
    )


def inspected(attempt: int, *, clean: bool) -> jobs.OutputsInspected:
    return jobs.OutputsInspected(at=403 + 10 * attempt, request=JOB, attempt=attempt, findings="09" * 32, clean=clean)


def word(attempt: int, key: Ed25519PrivateKey = OWNER, **changes: object) -> jobs.ReleaseDecided:
    release = ReleaseDecision(
        version="cloister-release/1",
        site=FACTS.site,
        request=JOB,
        attempt=attempt,
        commitment=outputs(attempt),
        files=(OutputFact(kind="output", path="result.json", size=42),),
        recipient=RESEARCHER,
        approvals=1,
        verdict="release",
        reason="Nobody is in it.",
        decided_at=404 + 10 * attempt,
    )
    return jobs.ReleaseDecided(
        at=404 + 10 * attempt, signed=sign_release(key, release.model_copy(update=dict(changes)))
    )


def sent(attempt: int, ground: str, **changes: object) -> jobs.OutputsReleased:
    fields = {"request": JOB, "attempt": attempt, "recipient": RESEARCHER, "commitment": outputs(attempt), **changes}
    return jobs.OutputsReleased.model_validate({"at": 405 + 10 * attempt, "ground": ground, **fields})


FIRST = decided(1, release="clean")
OTHER_TERMS = JOB_TERMS.model_copy(update={"job": "0d" * 16, "name": "Another job"})
OTHER_RECEIVED = changed(JOB_RECEIVED, request=OTHER_TERMS.digest(), terms=OTHER_TERMS)
OTHER_DECIDED = decided(1, request=OTHER_TERMS.digest())
STAYS_ANEW = changed(STAYS, at=410, commitment="16" * 32)
ON_STAYS_ANEW = (JOB_DECISION.data_sets[0].model_copy(update={"commitment": "16" * 32}), JOB_DECISION.data_sets[1])
JOB_CLOSED = log.RequestClosed(at=499, request=JOB, reason="Its researcher ended it.")
JOBS: Entries = [
    STAYS,
    SCANS,
    JOB_RECEIVED,
    JOB_TRIED,
    JOB_REVIEWED,
    FIRST,
    started(1),
    ended(1),
    inspected(1, clean=True),
    sent(1, "clean"),
    decided(2),
    started(2),
    ended(2),
    inspected(2, clean=False),
    word(2),
    sent(2, "by-hand"),
    decided(3),
    started(3),
    JOB_CLOSED,
]
HONEST_JOBS: Entries = [OPENED, ADOPTED, PINNED, POPULATION, *JOBS]


def with_jobs(old: log.LogEntry, *new: log.LogEntry) -> Entries:
    """The honest log with `new` in the place of `old`."""
    place = HONEST_JOBS.index(old)
    return [*HONEST_JOBS[:place], *new, *HONEST_JOBS[place + 1 :]]


def jobs_under(**changes: object) -> Entries:
    """The honest log of a site whose house rules are other than usual, as its decisions say."""
    statement = adoption(RULES.rules.model_copy(update=changes))
    entries: Entries = []
    for entry in HONEST_JOBS:
        if isinstance(entry, jobs.JobDecided):
            decision = entry.signed.decision.model_copy(update={"house_rules": statement.digest()})
            entry = entry.model_copy(update={"signed": sign_job_decision(OWNER, decision)})
        entries.append(adopted(statement) if entry == ADOPTED else entry)
    return entries


Attack = tuple[Entries, log.LogEntry, str]
"""A log, the entry at which it must be found broken, and a part of the reason."""


def require_found(attack: Attack) -> None:
    """The verifier names the entry, says why, and proves nothing of jobs."""
    entries, culprit, reason = attack
    report = verify(entries)
    assert report.broken[0].position == entries.index(culprit), report.broken
    assert reason in report.broken[0].reason
    assert not any("executions" in sentence for sentence in report.proved)
