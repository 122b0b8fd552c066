"""Attacks on P5: a site logs a sum that does not hold it once, or that its researcher did not sign."""

import pytest

from policies.log import entries as log
from policies.log.witness_entries import SumDisputed
from tests.attacks.honest_log import HONEST, PARTNER, SITE, STRANGER, Entries, changed, verify
from tests.attacks.honest_sum import (
    HONEST_WITH_SUM,
    OPENED_SUM,
    OWN_VECTOR,
    PARTNERS_VECTOR,
    SUM_OPENED,
    opened,
    summand,
)

OWN, PARTNERS = OPENED_SUM.summands


def test_a_log_with_an_opened_sum_is_sound() -> None:
    report = verify(HONEST_WITH_SUM)
    assert report.broken == []
    assert any("Each of the 1 sums that were opened" in sentence for sentence in report.proved)


def test_a_disputed_sum_is_sound_and_told() -> None:
    lied = opened(summands=(summand(STRANGER, OWN_VECTOR), PARTNERS)).signed
    report = verify([*HONEST, SumDisputed(at=270, signed=lied, reason="It leaves this site out.")])
    assert report.broken == []
    assert any("disputes" in sentence for sentence in report.not_proved)


DISHONEST: dict[str, tuple[log.LogEntry, str]] = {
    "left out": (opened(summands=(summand(STRANGER, OWN_VECTOR), PARTNERS)), "every site of the cohort exactly once"),
    "counted twice": (opened(summands=(OWN, OWN, PARTNERS)), "every site of the cohort exactly once"),
    "counted under the partner's name": (
        opened(summands=(OWN, summand(PARTNER, OWN_VECTOR))),
        "one vector for two sites",
    ),
    "counted with a vector that it never signed": (
        opened(summands=(OWN.model_copy(update={"vector_digest": "44" * 32}), PARTNERS)),
        "not by the key",
    ),
    "counted with its vector of another round": (
        opened(summands=(summand(SITE, OWN_VECTOR, context="00" * 32), PARTNERS)),
        "not by the key",
    ),
    "of another context": (opened(round_context="55" * 32), "another run, roster or global model"),
    "of a round that was not answered": (opened(round=3), "did not answer"),
    "of another request": (opened(request="66" * 32), "never received"),
    "signed by a stranger": (opened(key=STRANGER), "another party than the researcher"),
    "changed after it was signed": (
        changed(SUM_OPENED, signed=opened(total="77" * 32).signed.model_copy(update={"opened": OPENED_SUM})),
        "not by the key",
    ),
    "disputed in a stranger's name": (
        SumDisputed(at=270, signed=opened(key=STRANGER).signed, reason="Why not."),
        "another party than the researcher",
    ),
}


@pytest.mark.parametrize("attack", DISHONEST)
def test_a_site_cannot_log_a_sum_in_which_it_is(attack: str) -> None:
    entry, reason = DISHONEST[attack]
    report = verify([*HONEST, entry])
    assert [(it.position, reason in it.reason) for it in report.broken] == [(len(HONEST), True)], report.broken


def test_a_second_sum_of_one_round_breaks_the_log() -> None:
    for second in (SUM_OPENED, opened(total="88" * 32)):
        entries: Entries = [*HONEST_WITH_SUM, second]
        assert ["opened twice" in it.reason for it in verify(entries).broken] == [True]
    assert PARTNERS_VECTOR != OWN_VECTOR
