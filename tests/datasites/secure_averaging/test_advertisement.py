"""Advertisements and rosters: what a site signs, and every roster that it refuses."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datasites.secure_averaging.advertisement import (
    Advertisement,
    check_roster,
    create,
    require_cohort,
    roster_digest,
    verify_roster,
)
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError
from policies.statements.canonical import canonical_bytes
from policies.statements.schema import parse_model

PRIME = 2**255 - 19
RUN = "ab" * 16
LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    PRIME - 1,
]
# The same points as X25519 also reads them: not reduced, or with the ignored top bit set.
DISGUISED = [PRIME, PRIME + 1, *(point + 2**255 for point in LOW_ORDER)]


def hexadecimal(coordinate: int) -> str:
    return coordinate.to_bytes(32, "little").hex()


def with_keys(advertisement: Advertisement, keys: list[str]) -> dict[str, Any]:
    return {**json.loads(advertisement.canonical()), "keys": keys}


def test_a_fresh_roster_is_accepted_by_every_site_and_the_coordinator(cohort):
    digests = {
        verify_roster(cohort.roster, cohort.terms, RUN, own.site, own, cohort.pinned) for own in cohort.roster
    } | {check_roster(cohort.roster, cohort.terms, RUN, cohort.pinned)}
    assert digests == {roster_digest(cohort.roster)}


def test_the_roster_digest_ignores_order_and_sees_every_signature(cohort):
    assert roster_digest(cohort.roster) == roster_digest(cohort.roster[::-1])
    other = cohort.roster[0].model_copy(update={"signature": "0" * 128})
    assert roster_digest([other, *cohort.roster[1:]]) != roster_digest(cohort.roster)


def test_create_draws_a_fresh_key_pair_for_every_round():
    identity = Ed25519PrivateKey.generate()
    advertisement, private_keys = create(identity, "1" * 64, "2" * 64, RUN, 5)
    public = [X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw() for key in private_keys]
    assert [advertisement.key(number) for number in range(1, 6)] == public
    assert len(set(public)) == 5
    assert set(create(identity, "1" * 64, "2" * 64, RUN, 5)[1]).isdisjoint(private_keys)
    for number in (0, 6, -1):
        with pytest.raises(InvalidInputError, match="rounds 1 to 5"):
            advertisement.key(number)


@pytest.mark.parametrize("coordinate", LOW_ORDER + DISGUISED)
def test_low_order_points_are_refused_when_parsed(cohort, coordinate):
    point = bytes.fromhex(hexadecimal(coordinate))
    with pytest.raises(ValueError, match="Error computing shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(point))
    forged = with_keys(cohort.roster[0], [point.hex(), cohort.roster[0].keys[1]])
    with pytest.raises(InvalidInputError, match="large order"):
        parse_model(Advertisement, canonical_bytes(forged), maximum_bytes=4096, what="An advertisement")


def test_one_key_for_two_rounds_is_refused(cohort):
    key = cohort.roster[0].keys[0]
    with pytest.raises(ValidationError, match="two rounds"):
        Advertisement.model_validate_json(json.dumps(with_keys(cohort.roster[0], [key, key])))


def test_a_changed_field_breaks_the_signature(cohort):
    genuine = cohort.roster[0]
    genuine.verify(cohort.pinned[genuine.site])
    changes = {
        "site": cohort.roster[1].site,
        "terms": "0" * 64,
        "run": "0" * 32,
        "keys": genuine.keys[::-1],
        "signature": "0" * 128,
    }
    assert set(changes) == set(Advertisement.model_fields)
    for field, value in changes.items():
        with pytest.raises(NotAuthenticError):
            genuine.model_copy(update={field: value}).verify(cohort.pinned[genuine.site])


@dataclass
class Bad:
    """A roster that must be refused, and the words that say why."""

    entries: list[Advertisement]
    error: type[Exception]
    words: str


def bad_rosters(cohort) -> dict[str, Bad]:
    first, second, third = cohort.roster
    stranger = Ed25519PrivateKey.generate()
    identity, terms = cohort.identities[third.site], cohort.terms.digest()

    def resigned(site=third.site, terms=terms, run=RUN, rounds=2, key=identity) -> list[Advertisement]:
        return [first, second, create(key, site, terms, run, rounds)[0]]

    return {
        "one missing": Bad([first, second], RefusedError, "at least 3"),
        "alone": Bad([first], RefusedError, "at least 3"),
        "nobody": Bad([], RefusedError, "at least 3"),
        "one twice": Bad([first, second, second], RefusedError, "not the cohort"),
        "one too many": Bad([*cohort.roster, third], RefusedError, "not the cohort"),
        "invented": Bad(resigned(site="9" * 64, key=stranger), RefusedError, "not the cohort"),
        "by a stranger": Bad(resigned(key=stranger), NotAuthenticError, "not by the key"),
        "other terms": Bad(resigned(terms="0" * 64), InvalidInputError, "another study or run"),
        "other run": Bad(resigned(run="cd" * 16), InvalidInputError, "another study or run"),
        "too few keys": Bad(resigned(rounds=1), InvalidInputError, "1 mask keys"),
        "too many keys": Bad(resigned(rounds=3), InvalidInputError, "3 mask keys"),
        "own keys replaced": Bad(
            [create(cohort.identities[first.site], first.site, terms, RUN, 2)[0], second, third],
            NotAuthenticError,
            "other mask keys for this site",
        ),
    }


def test_every_wrong_roster_is_refused(cohort):
    own = cohort.roster[0]
    for kind, bad in bad_rosters(cohort).items():
        with pytest.raises(bad.error) as caught:
            verify_roster(bad.entries, cohort.terms, RUN, own.site, own, cohort.pinned)
        assert bad.words in str(caught.value), kind


def test_a_site_that_is_not_pinned_is_refused_although_its_signature_is_right(cohort):
    own = cohort.roster[0]
    pinned = {site: key for site, key in cohort.pinned.items() if site != cohort.roster[1].site}
    with pytest.raises(NotAuthenticError, match="not pinned"):
        verify_roster(cohort.roster, cohort.terms, RUN, own.site, own, pinned)


def test_a_key_copied_from_another_site_is_refused(cohort):
    first, second, third = cohort.roster
    copied = third.model_copy(update={"keys": (first.keys[1], third.keys[1])})
    with pytest.raises(InvalidInputError, match="never shared"):
        check_roster([first, second, copied], cohort.terms, RUN, cohort.pinned)


def test_terms_that_bypassed_validation_still_need_two_sites(cohort):
    lone = cohort.terms.model_copy(
        update={
            "cohort": cohort.terms.cohort[:1],
            "secure_averaging": cohort.terms.secure_averaging.model_copy(update={"minimum_cohort": 1, "colluders": 0}),
        }
    )
    with pytest.raises(RefusedError, match="at least 2"):
        require_cohort(cohort.roster[:1], lone)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_parsing_damaged_advertisements_fails_cleanly(cohort, data):
    genuine = bytearray(cohort.roster[0].canonical())
    for _ in range(data.draw(st.integers(1, 3))):
        genuine[data.draw(st.integers(0, len(genuine) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_model(Advertisement, bytes(genuine), maximum_bytes=4096, what="An advertisement")
    except InvalidInputError:
        return
    if parsed != cohort.roster[0]:
        with pytest.raises(NotAuthenticError):
            parsed.verify(cohort.pinned[cohort.roster[0].site])
