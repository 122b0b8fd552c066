"""Attacks on P5: a dishonest site approves, charges or computes something else than the terms in its log say.

Sums, signatures and hashes are kept consistent throughout, so that nothing but the terms can give the site away.
"""

import pytest

from policies.log.budget_entries import Mechanism
from policies.log.replay import Break
from policies.terms import CohortMember, Terms
from tests.attacks.honest_log import (
    APPROVED,
    DECISION,
    EVALUATION,
    EXPIRES,
    FACTS,
    HONEST,
    RECEIVED,
    REGISTERED,
    RESERVED,
    RETURNED,
    TERMS,
    TRAINING,
    Entries,
    after,
    approval,
    changed,
    charge,
    computed,
    cost,
    note,
    released,
    replaced,
    under,
    verify,
)
from tests.declared_units import UNITS


def test_the_honest_log_proves_that_terms_and_charges_agree() -> None:
    report = verify(HONEST)
    assert report.broken == []
    assert any("1 requests stands with its whole terms" in sentence for sentence in report.proved)
    assert any("which is the one in the terms" in sentence for sentence in report.proved)
    assert not any("terms" in sentence for sentence in report.not_proved)
    assert any("What was released" in sentence for sentence in report.not_proved)


def test_a_whole_study_up_to_the_round_that_only_evaluates_is_sound() -> None:
    evaluation = TERMS.evaluation.model_copy(update={"models": (1, 3)})
    terms = with_terms(evaluation=evaluation)
    rounds: Entries = []
    for number in range(1, terms.sums + 1):
        rounds += [charge(number, TRAINING)] if number <= 3 else []
        rounds += [charge(number, EVALUATION, "evaluation")] if number in (2, 4) else []
        rounds += [computed(number), released(number)]
    units = {"training_units": 3 * cost(TRAINING), "evaluation_units": 2 * cost(EVALUATION)}
    returned = changed(RETURNED, training_units=0, evaluation_units=0)
    entries = [*HONEST[:7], changed(RESERVED, **units), *rounds, returned, HONEST[-1]]
    assert terms.sums == 4
    assert verify(under(terms, entries, **units)).broken == []
    cut = [entry for entry in entries if entry != charge(4, EVALUATION, "evaluation")]
    assert "without a charge for evaluation" in verify(under(terms, cut, **units)).broken[0].reason


def with_terms(**changes: object) -> Terms:
    return TERMS.model_copy(update=changes)


def charging(mechanism: Mechanism) -> Entries:
    """Round 1 is charged for another mechanism, at its true cost; the books balance."""
    entries = replaced(charge(1, TRAINING), charge(1, mechanism))
    left = DECISION.training_units - cost(TRAINING) - cost(mechanism)
    return [changed(entry, training_units=left) if entry == RETURNED else entry for entry in entries]


def approving(training_units: int) -> Entries:
    """Other units than the terms' cost are approved, reserved and, in the end, returned."""
    swaps = {
        APPROVED: approval(training_units=training_units),
        RESERVED: changed(RESERVED, training_units=training_units),
        RETURNED: changed(RETURNED, training_units=training_units - 2 * cost(TRAINING)),
    }
    return [swaps.get(entry, entry) for entry in HONEST]


def renumbered(number: int) -> Entries:
    """What the honest site did in round 2 is done in round `number`."""
    swaps = {
        charge(2, TRAINING): charge(number, TRAINING),
        computed(2): computed(number),
        released(2): released(number),
    }
    return [swaps.get(entry, entry) for entry in HONEST]


def evaluating_in_round_2() -> Entries:
    """Only the initial model may be measured, and the one after the first round is."""
    first, second = charge(1, EVALUATION, "evaluation"), charge(2, EVALUATION, "evaluation")
    entries = after(charge(2, TRAINING), second)
    return [entry for entry in entries if entry != first]


def without_evaluation_charge() -> Entries:
    """The evaluation of round 1 is run and not charged, and all that was set aside for it comes back."""
    entries = replaced(charge(1, EVALUATION, "evaluation"))
    return [changed(entry, evaluation_units=cost(EVALUATION)) if entry == RETURNED else entry for entry in entries]


def mechanism(**changes: object) -> Mechanism:
    return TRAINING.model_copy(update=changes)


LESS_NOISE = with_terms(training=TERMS.training.model_copy(update={"noise_multiplier": 1.0}))
OTHERS = tuple(member for member in TERMS.cohort if member.site != FACTS.site)
WITHOUT_US = with_terms(cohort=(*OTHERS, CohortMember(site="cd" * 32, data_set="registry", weight=1, **UNITS)))
OTHER_DATA = with_terms(cohort=(*OTHERS, CohortMember(site=FACTS.site, data_set="genomes", weight=1, **UNITS)))
UNSAFE = with_terms(secure_averaging=TERMS.secure_averaging.model_copy(update={"colluders": 1}))
SECOND_DATA_SET = changed(REGISTERED, data_set="genomes")

ATTACKS: dict[str, tuple[Entries, int, str]] = {
    "charges for more noise than the terms": (charging(mechanism(noise_multiplier=4.0)), 8, "not the one in the terms"),
    "charges for less noise than the terms": (charging(mechanism(noise_multiplier=1.9)), 8, "not the one in the terms"),
    "charges for fewer steps": (charging(mechanism(steps=19)), 8, "not the one in the terms"),
    "charges for fewer people": (charging(mechanism(sampling_rate=0.01)), 8, "not the one in the terms"),
    "trains and charges for an evaluation": (charging(EVALUATION), 8, "not the one in the terms"),
    "leaves out the charge of a partition": (without_evaluation_charge(), 9, "without a charge for evaluation"),
    "charges the partitions as two attempts": (
        replaced(charge(1, EVALUATION, "evaluation"), changed(charge(1, EVALUATION, "evaluation"), attempt=2)),
        10,
        "without a charge for evaluation",
    ),
    "evaluates in another round": (evaluating_in_round_2(), 9, "without a charge for evaluation"),
    "charges for no round": (
        replaced(charge(2, TRAINING), changed(charge(2, TRAINING), step="setup")),
        12,
        "no charge on this partition for this step",
    ),
    "charges a round beyond the last": (renumbered(4), 12, "no charge on this partition for this step"),
    "swaps the terms under their digest": (
        replaced(RECEIVED, changed(RECEIVED, terms=LESS_NOISE)),
        5,
        "another digest",
    ),
    "swaps the terms and their digest": (
        replaced(RECEIVED, changed(RECEIVED, terms=LESS_NOISE, request=LESS_NOISE.digest())),
        6,
        "never received",
    ),
    "swaps the terms later on": (after(released(1), changed(RECEIVED, terms=LESS_NOISE)), 12, "another digest"),
    "follows other terms from the start": (under(LESS_NOISE), 6, "the terms cost"),
    "runs a study of other sites": (under(WITHOUT_US), 5, "do not name this site"),
    "runs on a data set that it never registered": (under(OTHER_DATA), 5, "data set that was never registered"),
    "runs on another data set than the terms ask for": (
        under(OTHER_DATA, [*HONEST[:5], SECOND_DATA_SET, *HONEST[5:]]),
        7,
        "another data set",
    ),
    "serves terms of another researcher": (under(with_terms(researcher="22" * 32)), 5, "never pinned"),
    "logs terms that no site may accept": (under(UNSAFE), 5, "not valid"),
    "approves less than the terms cost": (approving(2 * cost(TRAINING)), 6, "the terms cost"),
    "approves more than the terms cost": (approving(4 * cost(TRAINING)), 6, "the terms cost"),
    "approves for longer than the terms": (
        replaced(APPROVED, approval(expires_at=EXPIRES + 1)),
        6,
        "outlives the terms",
    ),
    "computes once the terms have expired": (
        [changed(entry, at=EXPIRES) if place >= 13 else entry for place, entry in enumerate(HONEST)],
        13,
        "expired",
    ),
    "computes what the owner withdrew after the charge": (
        after(charge(2, TRAINING), approval(verdict="deny")),
        14,
        "no approval",
    ),
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_dishonest_site(attack: str) -> None:
    entries, position, reason = ATTACKS[attack]
    report = verify(entries)
    assert report.broken[0].position == position, report.broken
    assert reason in report.broken[0].reason
    assert not any("in the terms" in sentence for sentence in report.proved)


@pytest.mark.parametrize("noise", [4.0, 1.9])
def test_nothing_but_the_terms_gives_a_wrong_mechanism_away(noise: float) -> None:
    report = verify(charging(mechanism(noise_multiplier=noise)))
    assert report.broken == [Break(8, "the mechanism charged is not the one in the terms")]


def test_a_round_beyond_the_sums_is_broken_even_when_it_is_the_only_one() -> None:
    entries = [*HONEST[:8], computed(4), HONEST[-1]]
    assert verify(entries).broken[0] == Break(8, "the terms have no such round")


def test_an_outsider_swaps_the_terms_of_a_signed_log() -> None:
    swapped = replaced(RECEIVED, changed(RECEIVED, terms=LESS_NOISE))
    report = verify(swapped, signed=note(HONEST))
    assert report.broken[0].position is None
    assert report.proved == []
