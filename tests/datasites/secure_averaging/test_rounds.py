"""Whole rounds: sites answer, the coordinator opens the sum, and nothing else opens."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.secure_averaging.coordinator import open_sum
from datasites.secure_averaging.layout import decode
from datasites.secure_averaging.site import mask_update
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError, UnavailableError


@settings(max_examples=25, deadline=None)
@given(
    weights=st.lists(st.integers(1, 16), min_size=2, max_size=6),
    parameters=st.integers(1, 40),
    bits=st.integers(8, 20),
    update_range=st.sampled_from([1e-3, 1.0, 50.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_sum_is_the_weighted_average_to_rounding(cohort_factory, weights, parameters, bits, update_range, seed):
    cohort = cohort_factory(len(weights), parameters, tuple(weights), models=(0,), bits=bits, update_range=update_range)
    generator = np.random.default_rng(seed)
    updates = generator.uniform(-1.2, 1.2, (len(weights), parameters)).astype(np.float32) * np.float32(update_range)
    counts = generator.uniform(0, 1000, (len(weights), 2))
    answers = {
        site: cohort.answer(site, update, count)
        for site, update, count in zip(cohort.sites, updates, counts, strict=True)
    }
    opened = decode(cohort.terms, 1, open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned))
    expected = np.average(np.clip(updates.astype(float), -update_range, update_range), axis=0, weights=weights)
    assert np.max(np.abs(opened.update - expected)) <= update_range / (2 ** (bits - 1) - 1) * (1 + 1e-6)
    assert np.max(np.abs(opened.metrics - counts.sum(axis=0))) <= 0.2501 * len(weights)


def test_the_whole_protocol_is_unbiased(cohort_factory):
    """One value between two levels at every coordinate and site: the mean of 30 000 averages is that value."""
    cohort = cohort_factory(3, 30_000, bits=8)
    value = np.float32(0.3)
    answers = {site: cohort.answer(site, np.full(30_000, value)) for site in cohort.sites}
    opened = decode(cohort.terms, 1, open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned))
    assert abs(opened.update.mean() - value) < 5 * (0.5 / 127) / np.sqrt(3 * 30_000)


def test_an_answer_leaves_the_result_it_was_given_alone(cohort, updates):
    site = cohort.sites[0]
    before = updates[site].copy()
    answer = cohort.answer(site, updates[site])
    assert np.array_equal(updates[site], before)
    assert len(answer.vector) == 64
    assert answer.vector != cohort.answer(site, updates[site], context=cohort.context(2)).vector


@pytest.fixture
def answers(cohort, updates):
    """Every site's answer to round 1."""
    return {site: cohort.answer(site, updates[site]) for site in cohort.sites}


def test_a_missing_site_is_named_and_nothing_opens(cohort, answers):
    for site in cohort.sites:
        some = {name: answer for name, answer in answers.items() if name != site}
        with pytest.raises(UnavailableError, match=site):
            open_sum(some, cohort.terms, 1, cohort.context(), cohort.pinned)


def test_a_stranger_in_the_sum_is_refused(cohort, answers):
    answers["9" * 64] = answers[cohort.sites[0]]
    with pytest.raises(NotAuthenticError, match="outside the cohort"):
        open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned)


def test_a_site_that_is_not_pinned_is_refused(cohort, answers):
    pinned = {site: key for site, key in cohort.pinned.items() if site != cohort.sites[1]}
    with pytest.raises(NotAuthenticError, match="not pinned"):
        open_sum(answers, cohort.terms, 1, cohort.context(), pinned)


@pytest.mark.parametrize("change", ["vector", "signature", "signer", "context", "length"])
def test_a_changed_answer_is_refused(cohort, answers, change):
    first, second = cohort.sites[:2]
    genuine = answers[first]
    flipped = bytes([genuine.vector[0] ^ 1]) + genuine.vector[1:]
    error = InvalidInputError if change == "length" else NotAuthenticError
    answers[first] = {
        "vector": replace(genuine, vector=flipped),
        "signature": replace(genuine, signature=genuine.signature[::-1]),
        "signer": answers[second],
        "context": replace(genuine, round_context=bytes(32)),
        "length": replace(genuine, vector=genuine.vector[:-4]),
    }[change]
    with pytest.raises(error):
        open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned)


def test_a_site_masks_for_the_whole_cohort_only(cohort, updates):
    own = cohort.sites[0]
    key, identity = cohort.private_keys[own][0], cohort.identities[own]
    for roster in ([], cohort.roster[:1], cohort.roster[:2], cohort.roster[:2] * 2, [*cohort.roster, cohort.roster[2]]):
        with pytest.raises(RefusedError):
            mask_update(cohort.terms, 1, updates[own], None, key, roster, own, cohort.context(), identity)


def test_a_key_of_another_round_or_site_is_refused(cohort, updates):
    own, other = cohort.sites[:2]
    for key in (cohort.private_keys[own][1], cohort.private_keys[other][0]):
        with pytest.raises(InvalidInputError, match="not the one this site advertised for round 1"):
            mask_update(
                cohort.terms, 1, updates[own], None, key, cohort.roster, own, cohort.context(), cohort.identities[own]
            )


def test_a_site_outside_the_cohort_has_no_share(cohort, updates):
    own = cohort.sites[0]
    key, identity = cohort.private_keys[own][0], cohort.identities[own]
    with pytest.raises(InvalidInputError, match="do not name this site"):
        mask_update(cohort.terms, 1, updates[own], None, key, cohort.roster, "9" * 64, cohort.context(), identity)
