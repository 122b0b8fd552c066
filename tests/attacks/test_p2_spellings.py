"""P2 against spellings: one request has one digest, and what a person reads is all that there is to read."""

import json
from pathlib import Path

import pytest

from datasites.protocol.identity import Identity, parse_card
from datasites.protocol.messages import StudySubmission
from datasites.secure_averaging.advertisement import Advertisement
from datasites.store.peers import pin
from policies.decision import MAXIMUM_SIGNED_DECISIONS_BYTES, SignedDecisions, verify_decisions
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.programs.digests import source_digest
from policies.statements.schema import parse_model
from policies.statements.signed import sign, verify
from policies.terms import MAXIMUM_TERMS_BYTES, Terms
from tests.declared_units import UNITS
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY, RUN

INVISIBLE = {
    "soft hyphen": "\u00ad",
    "combining grapheme joiner": "\u034f",
    "Hangul filler": "\u3164",
    "Mongolian vowel separator": "\u180e",
    "variation selector": "\ufe0f",
    "supplementary variation selector": "\U000e0100",
    "tag letter": "\U000e0041",
    "zero width space": "\u200b",
    "right-to-left override": "\u202e",
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return new_scene(tmp_path_factory.mktemp("spellings"))


@pytest.mark.parametrize(
    ("number", "other"),
    [
        ('"clipping_norm":1', '"clipping_norm":1.0'),
        ('"clipping_norm":1', '"clipping_norm":1e0'),
        ('"clipping_norm":1', '"clipping_norm":0.99999999999999999'),
        ('"learning_rate":0.1', '"learning_rate":0.10'),
        ('"learning_rate":0.1', '"learning_rate":1e-1'),
        ('"learning_rate":0.1', '"learning_rate":0.1000000000000000055511151231257827'),
        ('"colluders":1', '"colluders":1.0'),
        ('"colluders":1', '"colluders":true'),
        ('"retries":0', '"retries":-0'),
        ('"retries":0', '"retries":-0.0'),
        ('"retries":0', '"retries":1e-400'),
        ('"delta":0.000001', '"delta":1e-6'),
        ('"delta":0.000001', '"delta":1E-06'),
        ('"title":"Sepsis"', '"title":"\\u0053epsis"'),
        ('"title":"Sepsis"', '"title":"Sepsis","title":"Sepsis"'),
    ],
)
def test_a_number_spelled_another_way_does_not_make_two_digests_of_one_request(
    scene: Scene, number: str, other: str
) -> None:
    """Two spellings would be two requests to the ledger, or one digest over bytes that a reader takes for others."""
    terms = scene.terms().canonical().decode()
    assert terms.count(number) == 1
    with pytest.raises(InvalidInputError):
        scene.receive(scene.terms(), terms_text=terms.replace(number, other))


def test_numbers_that_differ_in_their_last_bit_are_other_terms(scene: Scene) -> None:
    """The digest must not round: 0.1 and its neighbour are two learning rates."""
    assert scene.terms().digest() != scene.terms(training={"learning_rate": 0.1 + 2**-56}).digest()


def test_a_study_submitted_again_under_its_name_with_other_terms_is_refused_and_the_first_stands(scene: Scene) -> None:
    """The owner has read the first; the second would run in its place."""
    first = scene.receive(scene.terms("3" * 32))
    with pytest.raises(ConflictError):
        scene.receive(scene.terms("3" * 32, purpose="Something else entirely"))
    assert scene.request(first.digest) == first


def test_another_researcher_cannot_submit_terms_in_the_first_ones_name(scene: Scene) -> None:
    with pytest.raises(NotAuthenticError):
        scene.receive(scene.terms("4" * 32), sender=scene.other_researcher.card)


def test_terms_of_one_study_inside_a_message_of_another_are_refused(scene: Scene) -> None:
    with pytest.raises(InvalidInputError, match="another study"):
        scene.receive(scene.terms("5" * 32), study=OTHER_STUDY)


def test_a_cohort_with_a_site_named_twice_is_no_cohort(scene: Scene) -> None:
    """Three places, two sites: the sum over them would hide one site behind one other."""
    with pytest.raises(ValueError, match="names a site twice"):
        scene.terms(cohort=[{"site": scene.site.identity.party, "data_set": "clinic-a", "weight": 1, **UNITS}] * 3)


@pytest.mark.parametrize("data_set", ["clinic-b", "clinic-a-", "klinik"])
def test_a_cohort_that_gives_this_site_another_ones_data_set_is_refused(scene: Scene, data_set: str) -> None:
    parties = [scene.site.identity.party, *(it.party for it in scene.partners)]
    cohort = [{"site": party, "data_set": data_set, "weight": 1, **UNITS} for party in parties]
    with pytest.raises(InvalidInputError, match="no data set"):
        scene.receive(scene.terms("6" * 32, cohort=cohort))


def test_a_cohort_without_this_site_is_refused(scene: Scene) -> None:
    parties = [scene.researcher.party, *(it.party for it in scene.partners)]
    cohort = [{"site": party, "data_set": "clinic-a", "weight": 1, **UNITS} for party in parties]
    with pytest.raises(RefusedError, match="do not name this site"):
        scene.receive(scene.terms("7" * 32, cohort=cohort))


@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE.keys())
def test_source_code_cannot_hold_what_its_reviewer_does_not_see(scene: Scene, character: str) -> None:
    """Whole programs have been written in variation selectors; the reviewer saw an empty string."""
    source = f"class Plan:\n    note = '{character}'\n"
    terms = scene.terms("8" * 32, programs={"source": source_digest(source)})
    with pytest.raises(ValueError, match="source"):
        StudySubmission(**{**scene.submission(terms).model_dump(), "source": source})


@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE.keys())
def test_two_researchers_cannot_be_pinned_under_names_that_look_the_same(
    scene: Scene, tmp_path: Path, character: str
) -> None:
    """A second «ada» in the owner's list of peers would be taken for the first."""
    with pytest.raises(CloisterError), scene.site.engine.begin() as connection:
        pin(connection, Identity.create(tmp_path / "twin", f"a{character}da", "researcher").card, scene.now)


def bits(data: bytes) -> list[bytes]:
    """`data` with each of its bits flipped."""
    return [
        data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        for place in range(len(data))
        for bit in range(8)
    ]


def accepted(data: bytes, read: object) -> list[bytes]:
    """Those of `bits(data)` that `read` takes."""
    taken = []
    for damaged in bits(data):
        try:
            read(damaged)  # type: ignore[operator]
        except CloisterError:
            continue
        taken.append(damaged)
    return taken


def test_every_bit_of_a_stored_decision_counts(scene: Scene) -> None:
    request = scene.approved("9" * 32)
    assert request.decision is not None
    owner_key = scene.owner_key.public_key().public_bytes_raw()

    def read(data: bytes) -> None:
        taken = parse_model(SignedDecisions, data, maximum_bytes=MAXIMUM_SIGNED_DECISIONS_BYTES, what="A decision")
        verify_decisions(taken, owner_key, scene.researcher.party)

    read(request.decision.canonical())
    assert accepted(request.decision.canonical(), read) == []


def test_every_bit_of_stored_terms_counts(scene: Scene) -> None:
    digest = scene.terms().digest()

    def read(data: bytes) -> None:
        if parse_model(Terms, data, maximum_bytes=MAXIMUM_TERMS_BYTES, what="The terms").digest() != digest:
            raise NotAuthenticError("other terms")

    assert accepted(scene.terms().canonical(), read) == []


def test_every_bit_of_an_advertisement_and_of_a_card_counts(scene: Scene) -> None:
    request = scene.approved("a" * 32)
    own, card = scene.start(request, RUN), scene.site.identity.card

    def read(data: bytes) -> None:
        parse_model(Advertisement, data, maximum_bytes=4096, what="Keys").verify(bytes.fromhex(card.signing_key))

    assert accepted(own.canonical(), read) == []
    assert accepted(card.canonical(), parse_card) == []


def test_a_signature_given_for_one_duty_serves_no_other(scene: Scene) -> None:
    """A site signs letters, mask keys and masked updates with one key: none may pass for another of them."""
    signing = scene.site.identity.signing
    duties = ("card", "decision", "envelope", "mask-advertisement", "masked-update")
    payload = json.dumps({"any": "thing"}).encode()
    for given in duties:
        signature = sign(signing, given, payload)
        for asked in set(duties) - {given}:
            with pytest.raises(NotAuthenticError):
                verify(signing.public_key().public_bytes_raw(), signature, asked, payload, what="it")
