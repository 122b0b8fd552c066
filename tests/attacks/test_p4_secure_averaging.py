"""Attacks on P4: a lying coordinator, colluding sites and the relay try to see less than a whole cohort's sum."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import ValidationError
from scipy.stats import chi2

from datasites.secure_averaging.advertisement import Advertisement, create, roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.layout import decode
from datasites.secure_averaging.masks import pair_mask
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError, UnavailableError
from policies.statements.digests import digest
from tests.whole_vectors import MaskedUpdate, apply_masks, open_sum

RUN, OTHER_RUN = "ab" * 16, "cd" * 16
MODEL, OTHER_MODEL = digest("global-model", b"honest"), digest("global-model", b"crafted")
NOTHING = np.zeros(1 << 16, np.float32)


def roster_of(sites: list[Any]) -> list[Advertisement]:
    return [site.advertisement for site in sites]


def numbers(answer: MaskedUpdate) -> np.ndarray:
    return np.frombuffer(answer.vector, "<u4")


def uniformity(vector: np.ndarray) -> float:
    """The smallest p-value, over the four bytes of each number, of a chi-square test against uniform bytes."""
    lanes = np.ascontiguousarray(vector, "<u4").view(np.uint8).reshape(-1, 4)
    expected = len(lanes) / 256
    statistics = [np.sum((np.bincount(lane, minlength=256) - expected) ** 2 / expected) for lane in lanes.T]
    return float(chi2.sf(max(statistics), 255))


def assert_uniform(vector: np.ndarray) -> None:
    assert uniformity(vector) > 1e-8


def test_one_sites_answer_looks_like_noise_to_whoever_holds_it(averaging_study):
    terms, sites = averaging_study
    for site in sites:
        assert_uniform(numbers(site.answer(terms, roster_of(sites))))
    # The test can fail: the sum of all four, where the masks are gone, is nothing like noise.
    total = sum(numbers(site.answer(terms, roster_of(sites))) for site in sites)
    assert uniformity(total) < 1e-100


def test_two_colluding_sites_and_the_coordinator_see_the_sum_of_the_two_honest_ones_only(averaging_study):
    """They peel off every mask that they share with an honest site; the one between the honest two remains."""
    terms, sites = averaging_study
    roster = roster_of(sites)
    context = round_context(setup_context(terms.digest(), RUN, roster_digest(roster)), 1, MODEL)
    honest, colluders = sites[:2], sites[2:]
    peeled = []
    for victim in honest:
        residue = numbers(victim.answer(terms, roster)).copy()
        shared = [
            pair_mask(
                X25519PrivateKey.from_private_bytes(colluder.mask_keys[0]),
                victim.advertisement.key(1),
                context,
                colluder.party,
                victim.party,
            )
            for colluder in colluders
        ]
        apply_masks(residue, shared)  # the colluders' signs are the opposite of the victim's
        assert_uniform(residue)
        peeled.append(residue)
    both = (peeled[0] + peeled[1]).view(np.int32) / (2**15 - 1)
    assert np.allclose(both, 0.002, atol=2 / (2**15 - 1))


def test_an_invented_site_does_not_count(averaging_study):
    terms, sites = averaging_study
    sybil = Ed25519PrivateKey.generate()
    party = digest("identity", sybil.public_key().public_bytes_raw())
    invented, _ = create(sybil, party, terms.digest(), RUN, terms.sums)
    impostor, _ = create(sybil, sites[3].party, terms.digest(), RUN, terms.sums)
    for roster, error in (
        ([*roster_of(sites[:3]), invented], RefusedError),
        ([*roster_of(sites), invented], RefusedError),
        ([*roster_of(sites[:3]), impostor], NotAuthenticError),
    ):
        with pytest.raises(error):
            sites[0].answer(terms, roster)


def test_terms_naming_invented_sites_do_not_help_where_the_owner_pinned_none(averaging_study, averaging_terms):
    """The coordinator writes terms around one victim and three sites of its own; nobody pinned those."""
    _, sites = averaging_study
    victim, sybils = sites[0], [Ed25519PrivateKey.generate() for _ in range(3)]
    parties = [digest("identity", key.public_key().public_bytes_raw()) for key in sybils]
    terms = averaging_terms([victim.party, *parties])
    own, keys = create(victim.identity, victim.party, terms.digest(), RUN, 2)
    entered = [create(key, party, terms.digest(), RUN, 2)[0] for key, party in zip(sybils, parties, strict=True)]
    with pytest.raises(NotAuthenticError, match="not pinned"):
        replace(victim, advertisement=own, mask_keys=keys).answer(terms, [own, *entered])


def test_a_key_put_in_place_of_an_honest_sites_key_is_refused(averaging_study):
    """The man in the middle: the coordinator's own X25519 key, or a key of another round, under a site's signature."""
    terms, sites = averaging_study
    mine = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    for target in (1, 0):
        genuine = sites[target].advertisement
        for keys in ((mine, genuine.keys[1]), genuine.keys[::-1]):
            roster = roster_of(sites)
            roster[target] = genuine.model_copy(update={"keys": keys})
            with pytest.raises(NotAuthenticError):
                sites[0].answer(terms, roster)


def test_no_smaller_cohort_gets_an_answer(averaging_study):
    """Differencing: the sum over S, then over S without one site. Claiming that it failed changes nothing."""
    terms, sites = averaging_study
    roster = roster_of(sites)
    for smaller in (roster[:3], roster[:2], roster[:1], [*roster[:3], roster[2]], [roster[0]] * 4):
        with pytest.raises(RefusedError):
            sites[0].answer(terms, smaller)


def test_a_sum_without_one_site_does_not_open(averaging_study):
    terms, sites = averaging_study
    roster = roster_of(sites)
    answers = {site.party: site.answer(terms, roster) for site in sites}
    for site in sites:
        context = answers[site.party].round_context
        rest = {party: answer for party, answer in answers.items() if party != site.party}
        with pytest.raises(UnavailableError, match=site.party):
            open_sum(rest, terms, 1, context, site.pinned)
        assert_uniform(sum(numbers(answer) for answer in rest.values()))


def test_two_models_for_two_sites_give_noise(averaging_study):
    """A crafted model for the others and the real one for the victim, so that the sum is the victim's update."""
    terms, sites = averaging_study
    roster = roster_of(sites)
    answers = {site.party: site.answer(terms, roster, update=NOTHING, model=OTHER_MODEL) for site in sites[1:]}
    answers[sites[0].party] = sites[0].answer(terms, roster)
    total = sum(numbers(answer) for answer in answers.values())
    assert_uniform(total)
    with pytest.raises(NotAuthenticError, match="does not open"):
        decode(terms, 1, total)
    with pytest.raises(NotAuthenticError, match="global model"):
        open_sum(answers, terms, 1, answers[sites[0].party].round_context, sites[0].pinned)


def test_two_rosters_for_two_sites_give_noise(averaging_study):
    """A colluding site signs two sets of keys; the coordinator shows each honest site another one."""
    terms, sites = averaging_study
    traitor = sites[3]
    second, _ = create(traitor.identity, traitor.party, terms.digest(), RUN, terms.sums)
    one, two = roster_of(sites), [*roster_of(sites[:3]), second]
    first_answer, second_answer = sites[0].answer(terms, one), sites[1].answer(terms, two)
    assert first_answer.round_context != second_answer.round_context
    total = numbers(first_answer) + numbers(second_answer) + numbers(sites[2].answer(terms, one))
    assert_uniform(total + numbers(traitor.answer(terms, one, update=NOTHING)))


def test_advertisements_of_another_run_or_study_are_refused(averaging_study, averaging_terms):
    terms, sites = averaging_study
    other_terms = averaging_terms([site.party for site in sites], study="1" * 32)
    for digest_of_terms, run in ((terms.digest(), OTHER_RUN), (other_terms.digest(), RUN)):
        replayed, _ = create(sites[1].identity, sites[1].party, digest_of_terms, run, terms.sums)
        with pytest.raises(InvalidInputError, match="another study or run"):
            sites[0].answer(terms, [sites[0].advertisement, replayed, *roster_of(sites[2:])])


def test_other_weights_for_one_site_are_other_terms(averaging_study, averaging_terms):
    """Weight 16 for the victim, 1 for the rest, shown to the victim alone: its roster is not theirs any more."""
    _, sites = averaging_study
    lopsided = averaging_terms([site.party for site in sites], [16, 1, 1, 1])
    own, keys = create(sites[0].identity, sites[0].party, lopsided.digest(), RUN, 2)
    victim = replace(sites[0], advertisement=own, mask_keys=keys)
    with pytest.raises(InvalidInputError, match="another study or run"):
        victim.answer(lopsided, [own, *roster_of(sites[1:])])


def test_an_answer_replayed_in_another_round_or_by_another_site_is_refused(averaging_study):
    terms, sites = averaging_study
    roster = roster_of(sites)
    first = {site.party: site.answer(terms, roster, 1) for site in sites}
    second = {site.party: site.answer(terms, roster, 2) for site in sites}
    context, pinned = second[sites[0].party].round_context, sites[0].pinned
    replayed = first[sites[0].party]
    for forged in (replayed, replace(replayed, round_context=context), second[sites[1].party]):
        with pytest.raises(NotAuthenticError):
            open_sum({**second, sites[0].party: forged}, terms, 2, context, pinned)
    open_sum(second, terms, 2, context, pinned)


def test_the_same_update_in_two_rounds_shows_no_difference(averaging_study):
    """Were a mask used twice, subtracting the answers would leave only rounding."""
    terms, sites = averaging_study
    roster = roster_of(sites)
    first, second = (sites[0].answer(terms, roster, number) for number in (1, 2))
    assert_uniform(numbers(first) - numbers(second))


def test_any_flipped_bit_is_noticed(averaging_study):
    terms, sites = averaging_study
    roster = roster_of(sites)
    answers = {site.party: site.answer(terms, roster) for site in sites}
    victim = answers[sites[0].party]
    for place in (0, 1, 1 << 17, (1 << 18) - 1):
        damaged = bytearray(victim.vector)
        damaged[place] ^= 0x80
        forged = {**answers, sites[0].party: replace(victim, vector=bytes(damaged))}
        with pytest.raises(NotAuthenticError):
            open_sum(forged, terms, 1, victim.round_context, sites[0].pinned)


def test_a_low_order_mask_key_never_becomes_part_of_a_roster(averaging_study):
    """With such a key the pair's secret would be all zeros, known to everybody."""
    terms, sites = averaging_study
    for point in (0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18):
        key = point.to_bytes(32, "little").hex()
        with pytest.raises(ValidationError, match="large order"):
            Advertisement(
                site=sites[1].party,
                terms=terms.digest(),
                run=RUN,
                keys=(key, sites[1].advertisement.keys[1]),
                signature=sites[1].advertisement.signature,
            )


def test_a_colluder_that_advertises_an_honest_sites_key_learns_no_mask(averaging_study):
    """Copying a key would make two pairs share a secret; it is refused, and the mask would differ all the same."""
    terms, sites = averaging_study
    copied = sites[1].advertisement.keys
    genuine = sites[3].advertisement
    with pytest.raises(InvalidInputError, match="never shared"):
        sites[0].answer(terms, [*roster_of(sites[:3]), genuine.model_copy(update={"keys": copied})])
    private = X25519PrivateKey.from_private_bytes(sites[0].mask_keys[0])
    peer = sites[1].advertisement.key(1)
    masks = [pair_mask(private, peer, bytes(32), sites[0].party, sites[number].party).key for number in (1, 3)]
    assert masks[0] != masks[1]
