"""Attacks on P5: a dishonest site lets outputs of a job out that nobody let go, to somebody else, or twice."""

import pytest

from tests.attacks.honest_job_log import (
    FIRST,
    JOB_CLOSED,
    OTHER_RECEIVED,
    OTHER_TERMS,
    Attack,
    decided,
    ended,
    inspected,
    outputs,
    require_found,
    sent,
    with_jobs,
    word,
)
from tests.attacks.honest_log import (
    LOG,
    STRANGER,
    changed,
)

OTHER_OUTPUTS, OTHER_PARTY = {"commitment": outputs(9)}, {"recipient": "22" * 32}
TWICE = changed(sent(2, "by-hand"), at=430)
RELEASES: dict[str, Attack] = {
    "releases without a signed word": (with_jobs(word(2)), sent(2, "by-hand"), "no signed word"),
    "releases on a stranger's word": (
        with_jobs(word(2), word(2, STRANGER)),
        word(2, STRANGER),
        "neither the owner's",
    ),
    "releases on the service's word": (
        with_jobs(word(2), word(2, LOG)),
        word(2, LOG),
        "neither the owner's",
    ),
    "releases on the word of another site": (
        with_jobs(word(2), word(2, site="11" * 32)),
        word(2, site="11" * 32),
        "another site",
    ),
    "releases on a word on other outputs": (
        with_jobs(word(2), word(2, **OTHER_OUTPUTS)),
        word(2, **OTHER_OUTPUTS),
        "other outputs",
    ),
    "releases on the word on the first execution": (
        with_jobs(word(2), word(1), sent(2, "by-hand"))[:-4],
        sent(2, "by-hand"),
        "no signed word",
    ),
    "releases on the word on another job": (
        with_jobs(word(2), OTHER_RECEIVED, word(2, request=OTHER_TERMS.digest())),
        word(2, request=OTHER_TERMS.digest()),
        "never began",
    ),
    "releases on a word for somebody else": (
        with_jobs(word(2), word(2, **OTHER_PARTY)),
        word(2, **OTHER_PARTY),
        "another party",
    ),
    "releases what the owner withheld": (
        with_jobs(word(2), word(2, verdict="withhold")),
        sent(2, "by-hand"),
        "withheld",
    ),
    "releases what the owner withheld in the end": (
        with_jobs(word(2), word(2), word(2, verdict="withhold")),
        sent(2, "by-hand"),
        "withheld",
    ),
    "releases as clean what the owner withheld": (
        with_jobs(sent(1, "clean"), word(1, verdict="withhold"), sent(1, "clean")),
        sent(1, "clean"),
        "withheld",
    ),
    "releases other outputs": (
        with_jobs(sent(2, "by-hand"), sent(2, "by-hand", **OTHER_OUTPUTS)),
        sent(2, "by-hand", **OTHER_OUTPUTS),
        "not what this execution gave",
    ),
    "releases to somebody else": (
        with_jobs(sent(2, "by-hand"), sent(2, "by-hand", **OTHER_PARTY)),
        sent(2, "by-hand", **OTHER_PARTY),
        "another party",
    ),
    "releases twice": (with_jobs(sent(2, "by-hand"), sent(2, "by-hand"), TWICE), TWICE, "released twice"),
    "releases what was never run": (with_jobs(decided(3), sent(3, "by-hand")), sent(3, "by-hand"), "never began"),
    "releases of an execution that gave nothing": (
        with_jobs(JOB_CLOSED, ended(3, "failed"), word(3)),
        word(3),
        "other outputs",
    ),
    "releases as clean without an inspection": (
        with_jobs(inspected(1, clean=True)),
        sent(1, "clean"),
        "no inspection",
    ),
    "releases as clean what was not": (
        with_jobs(inspected(1, clean=True), inspected(1, clean=False)),
        sent(1, "clean"),
        "no inspection",
    ),
    "releases as clean what was to wait": (with_jobs(FIRST, decided(1)), sent(1, "clean"), "wait for a person"),
    "inspects until nothing is found": (
        with_jobs(inspected(1, clean=True), inspected(1, clean=False), inspected(1, clean=True)),
        inspected(1, clean=True),
        "inspected twice",
    ),
    "inspects what gave nothing": (
        with_jobs(ended(1), ended(1, "failed")),
        inspected(1, clean=True),
        "no outputs",
    ),
}


@pytest.mark.parametrize("attack", RELEASES)
def test_nothing_leaves_that_nobody_let_go(attack: str) -> None:
    require_found(RELEASES[attack])
