"""Whole rounds: sites answer, the coordinator opens the sum, and nothing else opens."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.secure_averaging.coordinator import RunningSum
from datasites.secure_averaging.keystream import BLOCK_NUMBERS
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError, UnavailableError
from policies.masked_vector import running_vector_digest
from policies.statements.digests import digest
from tests.whole_vectors import add, mask_update, open_sum, opened, vector_digest


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
    whole = opened(cohort.terms, 1, open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned))
    expected = np.average(np.clip(updates.astype(float), -update_range, update_range), axis=0, weights=weights)
    assert np.max(np.abs(whole.update - expected)) <= update_range / (2 ** (bits - 1) - 1) * (1 + 1e-6)
    assert np.max(np.abs(whole.metrics - counts.sum(axis=0))) <= 0.2501 * len(weights)


def test_the_whole_protocol_is_unbiased(cohort_factory):
    """One value between two levels at every coordinate and site: the mean of 30 000 averages is that value."""
    cohort = cohort_factory(3, 30_000, bits=8)
    value = np.float32(0.3)
    answers = {site: cohort.answer(site, np.full(30_000, value)) for site in cohort.sites}
    whole = opened(cohort.terms, 1, open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned))
    assert abs(whole.update.mean() - value) < 5 * (0.5 / 127) / np.sqrt(3 * 30_000)


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


@pytest.mark.parametrize(
    "change", ["vector", "last byte", "digest", "signature", "signer", "context", "shorter", "longer"]
)
def test_a_changed_answer_is_refused(cohort, answers, change):
    first, second = cohort.sites[:2]
    genuine = answers[first]
    flipped = bytes([genuine.vector[0] ^ 1]) + genuine.vector[1:]
    last = genuine.vector[:-1] + bytes([genuine.vector[-1] ^ 0x80])
    error = InvalidInputError if change in ("shorter", "longer") else NotAuthenticError
    answers[first] = {
        "vector": replace(genuine, vector=flipped),
        "signature": replace(genuine, signature=genuine.signature[::-1]),
        "signer": answers[second],
        "context": replace(genuine, round_context=bytes(32)),
        "last byte": replace(genuine, vector=last),
        "digest": replace(genuine, vector=last, vector_digest=vector_digest(last)),
        "shorter": replace(genuine, vector=genuine.vector[:-1]),
        "longer": replace(genuine, vector=genuine.vector + b"\0"),
    }[change]
    with pytest.raises(error):
        open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned)


def test_a_site_counts_once(cohort, answers):
    first, second, third = cohort.sites
    running = RunningSum(cohort.terms, 1, cohort.context(), cohort.pinned)
    for site in (first, second):
        add(running, site, answers[site])
        with pytest.raises(ConflictError, match="once"):
            add(running, site, answers[site])
        with pytest.raises(UnavailableError, match=third):
            running.total()
    add(running, third, answers[third])
    assert np.array_equal(running.total(), open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned))


@pytest.mark.parametrize("broken", ["tampered", "short", "stopped"])
def test_a_sum_that_took_in_a_broken_answer_is_never_read(cohort, answers, broken):
    first, *rest = cohort.sites
    genuine = answers[first]

    def stops():
        yield genuine.vector[:40]
        raise OSError("the line is cut")

    pieces = {
        "tampered": [genuine.vector[:-1], bytes([genuine.vector[-1] ^ 1])],
        "short": [genuine.vector[:-4]],
        "stopped": stops(),
    }[broken]
    running = RunningSum(cohort.terms, 1, cohort.context(), cohort.pinned)
    with pytest.raises((NotAuthenticError, InvalidInputError, OSError)):
        running.add(first, genuine.round_context, genuine.vector_digest, genuine.signature, pieces)
    for site in (first, *rest):
        with pytest.raises(ConflictError, match="anew"):
            add(running, site, answers[site])
    with pytest.raises(ConflictError, match="anew"):
        running.total()


def test_what_is_refused_before_a_byte_of_it_was_added_leaves_the_sum_usable(cohort, answers):
    running = RunningSum(cohort.terms, 1, cohort.context(), cohort.pinned)
    first, second = cohort.sites[:2]
    for wrong in (answers[second], replace(answers[first], round_context=bytes(32))):
        with pytest.raises(NotAuthenticError):
            add(running, first, wrong)
    for site, answer in answers.items():
        add(running, site, answer)
    assert running.total().size == 16


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 64), max_size=12))
def test_a_vector_may_arrive_in_pieces_of_any_size(cohort, cuts):
    update = np.linspace(-1, 1, 16, dtype=np.float32)
    answers = {site: cohort.answer(site, update) for site in cohort.sites}
    running = RunningSum(cohort.terms, 1, cohort.context(), cohort.pinned)
    for site, answer in answers.items():
        view = memoryview(answer.vector)
        pieces = [view[start:end] for start, end in pairwise([0, *sorted(cuts), 64])]
        running.add(site, answer.round_context, answer.vector_digest, answer.signature, pieces)
    assert np.array_equal(running.total(), open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned))


def test_a_long_vector_in_pieces_that_split_numbers_is_added_right(cohort_factory):
    cohort = cohort_factory(2, 2 * BLOCK_NUMBERS + 3)
    update = np.random.default_rng(2).uniform(-1, 1, 2 * BLOCK_NUMBERS + 3).astype(np.float32)
    answers = {site: cohort.answer(site, update) for site in cohort.sites}
    running = RunningSum(cohort.terms, 1, cohort.context(), cohort.pinned)
    for site, answer in answers.items():
        size = 5 * BLOCK_NUMBERS + 2 if site == cohort.sites[0] else 1001
        pieces = [answer.vector[start : start + size] for start in range(0, len(answer.vector), size)]
        running.add(site, answer.round_context, answer.vector_digest, answer.signature, pieces)
    vectors = [np.frombuffer(answer.vector, "<u4") for answer in answers.values()]
    assert np.array_equal(running.total(), vectors[0] + vectors[1])


def test_the_running_digest_is_the_digest_of_the_whole(cohort, answers):
    vector = answers[cohort.sites[0]].vector
    assert answers[cohort.sites[0]].vector_digest == digest("masked-vector", vector)
    for left_out in (1, 4, 64):
        running = running_vector_digest(16)
        running.update(vector[: 64 - left_out])
        with pytest.raises(InvalidInputError, match="before its end"):
            running.hexdigest()
        with pytest.raises(InvalidInputError, match="More content came"):
            running.update(bytes(left_out + 1))


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
