"""Envelopes open for their recipient, prove their sender, and are bound to their header."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.protocol import envelope
from datasites.protocol.content import wrap
from datasites.protocol.envelope import EnvelopeHeader, check_number, open_envelope, read_header, seal
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.messages import CatalogRequest, StudyClose, StudySubmission
from datasites.protocol.weight_messages import ParameterPart
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError
from policies.statements.digests import frame
from policies.statements.signed import sign

MESSAGE = StudyClose(study="0" * 32, reason="the study is finished")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    folder = tmp_path_factory.mktemp("people")
    return {name: Identity.create(folder / name, name, "researcher") for name in ("ada", "bob", "eve")}


def pinned(*identities: Identity) -> dict[str, IdentityCard]:
    return {identity.party: identity.card for identity in identities}


def seal_by_hand(header: bytes, signer: Identity, payload: bytes, recipient: IdentityCard) -> bytes:
    """What somebody with the code at hand can build: any header, any signer."""
    plain = sign(signer.signing, "envelope", header, payload) + payload
    key = X25519PublicKey.from_public_bytes(bytes.fromhex(recipient.sealing_key))
    return len(header).to_bytes(2, "big") + header + envelope._SUITE.encrypt(plain, key, info=frame("envelope", header))


def test_a_letter_arrives(people: dict[str, Identity]) -> None:
    ada, bob = people["ada"], people["bob"]
    data = seal(ada, bob.card, 7, MESSAGE)
    opened = open_envelope(bob, data, pinned(ada).get)
    assert (opened.sender, opened.number, opened.message) == (ada.card, 7, MESSAGE)
    header = read_header(data)
    assert (header.sender, header.recipient, header.number) == (ada.party, bob.party, 7)
    assert b"finished" not in data


def test_the_digest_names_message_and_header(people: dict[str, Identity]) -> None:
    ada, bob = people["ada"], people["bob"]
    digests = [
        open_envelope(bob, seal(ada, bob.card, number, message), pinned(ada).get).digest
        for number, message in ((1, MESSAGE), (1, MESSAGE), (2, MESSAGE), (1, CatalogRequest()))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_strangers_and_other_recipients_are_refused(people: dict[str, Identity]) -> None:
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    data = seal(ada, bob.card, 1, MESSAGE)
    with pytest.raises(NotAuthenticError, match="pinned"):
        open_envelope(bob, data, pinned(eve).get)
    with pytest.raises(NotAuthenticError, match="another party"):
        open_envelope(eve, data, pinned(ada).get)
    with pytest.raises(NotAuthenticError):
        open_envelope(bob, data, lambda _: eve.card)


def test_an_outer_header_that_lies_is_refused(people: dict[str, Identity]) -> None:
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    data = seal(ada, bob.card, 1, MESSAGE)
    true_header = read_header(data)
    sealed = data[2 + len(true_header.canonical()) :]
    for changes in ({"number": 2}, {"sender": eve.party}, {"recipient": eve.party}):
        header = true_header.model_copy(update=changes).canonical()
        with pytest.raises(NotAuthenticError):
            open_envelope(bob, len(header).to_bytes(2, "big") + header + sealed, pinned(ada, eve).get)


def test_forwarding_a_signed_message_to_somebody_else_is_refused(people: dict[str, Identity]) -> None:
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    data = seal(ada, bob.card, 1, MESSAGE)
    header = data[2 : 2 + int.from_bytes(data[:2], "big")]
    signed = envelope._SUITE.decrypt(data[2 + len(header) :], bob.sealing, info=frame("envelope", header))
    new_header = EnvelopeHeader(
        version="cloister-envelope/1", sender=ada.party, recipient=eve.party, number=1
    ).canonical()
    key = X25519PublicKey.from_public_bytes(bytes.fromhex(eve.card.sealing_key))
    forwarded = envelope._SUITE.encrypt(signed, key, info=frame("envelope", new_header))
    with pytest.raises(NotAuthenticError, match="signature"):
        open_envelope(eve, len(new_header).to_bytes(2, "big") + new_header + forwarded, pinned(ada).get)


def test_another_signer_under_a_pinned_name_is_refused(people: dict[str, Identity]) -> None:
    ada, bob, eve = people["ada"], people["bob"], people["eve"]
    header = EnvelopeHeader(version="cloister-envelope/1", sender=ada.party, recipient=bob.party, number=1).canonical()
    with pytest.raises(NotAuthenticError, match="signature"):
        open_envelope(bob, seal_by_hand(header, eve, MESSAGE.canonical(), bob.card), pinned(ada, eve).get)


def test_a_pinned_sender_cannot_send_nonsense(people: dict[str, Identity]) -> None:
    ada, bob = people["ada"], people["bob"]
    header = EnvelopeHeader(version="cloister-envelope/1", sender=ada.party, recipient=bob.party, number=1).canonical()
    for payload in (b"", b"{}", b'{"type":"launch","version":1}', b"\xff" * 100, b"[" * 100_000):
        with pytest.raises(InvalidInputError):
            open_envelope(bob, seal_by_hand(header, ada, payload, bob.card), pinned(ada).get)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_flip_and_every_cut_is_noticed(people: dict[str, Identity], data: st.DataObject) -> None:
    ada, bob = people["ada"], people["bob"]
    letter = bytearray(seal(ada, bob.card, 3, CatalogRequest()))
    position = data.draw(st.integers(0, len(letter) - 1))
    if data.draw(st.booleans()):
        letter[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del letter[position:]
    with pytest.raises((InvalidInputError, NotAuthenticError)):
        open_envelope(bob, bytes(letter), pinned(ada).get)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_parser(people: dict[str, Identity], data: bytes) -> None:
    with pytest.raises(CloisterError):
        open_envelope(people["bob"], data, pinned(people["ada"]).get)


def test_a_message_too_large_is_not_sent(people: dict[str, Identity]) -> None:
    reference, _ = wrap(b"")
    message = StudySubmission(
        study="0" * 32,
        terms="t" * 262_144,
        loss_program="l" * 524_288,
        metrics_program="m" * 524_288,
        source="",
        parameter_parts=(ParameterPart(digest="0" * 64, size=1, sent=True),),
        initial_parameters=reference,
        tokeniser=None,
    )
    with pytest.raises(InvalidInputError, match="holds 1048576 at most"):
        seal(people["ada"], people["bob"].card, 1, message)


def test_numbers_rise_strictly_and_gaps_are_counted() -> None:
    assert check_number(0, 1) == 0
    assert check_number(1, 2) == 0
    assert check_number(1, 5) == 3
    for last, got in ((1, 1), (5, 4), (0, 0)):
        with pytest.raises(ConflictError):
            check_number(last, got)
