"""Attacks on P5: a dishonest site logs jobs that nobody sent, or decisions that its owner did not take on them."""

import pytest

from tests.attacks.honest_job_log import (
    FIRST,
    JOB,
    JOB_DECISION,
    JOB_RECEIVED,
    JOB_TERMS,
    JOB_TRIED,
    ON_STAYS_ANEW,
    OTHER_RECEIVED,
    OTHER_TERMS,
    SCANS,
    STAYS,
    STAYS_ANEW,
    Attack,
    decided,
    require_found,
    with_jobs,
)
from tests.attacks.honest_log import (
    EXPIRES,
    HONEST,
    LOG,
    PINNED,
    POPULATION,
    REQUEST,
    approval,
    changed,
)

RAISED = FIRST.signed.model_copy(
    update={"decision": FIRST.signed.decision.model_copy(update={"expires_at": EXPIRES - 1})}
)
DECISIONS: dict[str, Attack] = {
    "signs with a key of the service": (
        with_jobs(FIRST, decided(1, LOG, release="clean")),
        decided(1, LOG, release="clean"),
        "neither the owner's nor appointed",
    ),
    "changes what was signed": (
        with_jobs(FIRST, changed(FIRST, signed=RAISED)),
        changed(FIRST, signed=RAISED),
        "not by the key",
    ),
    "uses another site's approval": (
        with_jobs(FIRST, decided(1, site="11" * 32)),
        decided(1, site="11" * 32),
        "another site",
    ),
    "uses the approval of a study": (
        with_jobs(FIRST, approval(request=JOB)),
        approval(request=JOB),
        "never received",
    ),
    "approves files that were never registered": (
        with_jobs(FIRST, decided(1, data_sets=ON_STAYS_ANEW)),
        decided(1, data_sets=ON_STAYS_ANEW),
        "not registered as it names them",
    ),
    "approves files as they were before they were exchanged": (
        with_jobs(FIRST, STAYS_ANEW, FIRST),
        FIRST,
        "not registered as it names them",
    ),
    "approves files beside those asked for": (
        with_jobs(FIRST, decided(1, data_sets=JOB_DECISION.data_sets[:1])),
        decided(1, data_sets=JOB_DECISION.data_sets[:1]),
        "other sets of files",
    ),
    "approves for longer than the terms": (
        with_jobs(FIRST, decided(1, expires_at=EXPIRES + 1)),
        decided(1, expires_at=EXPIRES + 1),
        "outlives the terms",
    ),
    **{
        f"grants more {name}": (with_jobs(FIRST, more), more, "grants more")
        for name, most in JOB_TERMS.limits.model_dump().items()
        for more in [decided(1, limits=JOB_TERMS.limits.model_copy(update={name: most + 1}))]
    },
}

SWAPPED = changed(JOB_RECEIVED, terms=OTHER_TERMS)
ELSEWHERE = JOB_TERMS.model_copy(update={"site": "ab" * 32})
FOREIGN = JOB_TERMS.model_copy(update={"researcher": "22" * 32})
UNKNOWN_FILES = JOB_TERMS.model_copy(update={"data_sets": ("genomes",)})

RECEIPTS: dict[str, Attack] = {
    "edits the terms": (with_jobs(JOB_RECEIVED, SWAPPED), SWAPPED, "another digest"),
    "edits the terms and their digest": (with_jobs(JOB_RECEIVED, OTHER_RECEIVED), JOB_TRIED, "never received"),
    "receives a job twice": (
        with_jobs(FIRST, changed(JOB_RECEIVED, at=409), FIRST),
        changed(JOB_RECEIVED, at=409),
        "second time",
    ),
    "names a job as a study is named": (
        [*HONEST, STAYS, SCANS, changed(JOB_RECEIVED, request=REQUEST)],
        changed(JOB_RECEIVED, request=REQUEST),
        "another digest",
    ),
    "serves a stranger": (with_jobs(PINNED), JOB_RECEIVED, "never pinned"),
    "offers no such files": (with_jobs(SCANS), JOB_RECEIVED, "never registered"),
    "moves files out of a guarantee": (
        with_jobs(FIRST, changed(STAYS, at=409, population=None), FIRST),
        changed(STAYS, at=409, population=None),
        "moves from one population",
    ),
    "names a population that is not there": (with_jobs(POPULATION), STAYS, "never opened"),
    **{
        attack: (with_jobs(JOB_RECEIVED, received), received, reason)
        for attack, terms, reason in (
            ("takes a job for another site", ELSEWHERE, "ask another site"),
            ("takes a job of a stranger", FOREIGN, "never pinned"),
            ("takes a job on files that it never offered", UNKNOWN_FILES, "never registered"),
        )
        for received in [changed(JOB_RECEIVED, request=terms.digest(), terms=terms)]
    },
}


@pytest.mark.parametrize("attack", DECISIONS)
def test_no_decision_but_the_owners_on_what_was_asked_and_is_there(attack: str) -> None:
    require_found(DECISIONS[attack])


@pytest.mark.parametrize("attack", RECEIPTS)
def test_no_job_but_what_a_researcher_sent_to_this_site(attack: str) -> None:
    require_found(RECEIPTS[attack])
