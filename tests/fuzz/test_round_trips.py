"""What is written is read back as it was, and one flipped bit of what is signed or sealed is always noticed."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save

from datasites.execution.ask_round import checked_model
from datasites.protocol.blobs import open_blob
from datasites.protocol.content import unwrap, wrap
from datasites.protocol.envelope import open_envelope, seal
from datasites.protocol.identity import parse_card
from datasites.protocol.messages import Message, parse_message
from datasites.protocol.relay_wire import NO_SESSION, SignedRequest, join_letters, parse_headers, split_letters
from datasites.protocol.sealed import SealedMemory
from datasites.secure_averaging.advertisement import Advertisement
from policies.decision import SignedDecisions, verify_decisions
from policies.errors import CloisterError
from policies.log.checkpoint import log_origin, open_checkpoint
from policies.log.entries import parse_entry
from policies.log.verify import Pinned, verify_bundle
from policies.manifest import Manifest, parse_published_manifest
from policies.programs.format import parse_program
from policies.programs.parameters import read_parameters
from policies.statements.canonical import canonical_bytes, parse_canonical
from policies.statements.schema import StrictModel, parse_model
from policies.terms import Terms
from tests.attacks import honest_log
from tests.fuzz import seeds

_SIZE = 1 << 20
_AUDIENCE = "http://relay.example"


def _read(model: type[StrictModel]) -> Callable[[bytes], object]:
    return lambda data: parse_model(model, data, maximum_bytes=_SIZE, what="It")


WRITTEN: list[tuple[StrictModel, Callable[[bytes], object]]] = [
    *((it, parse_message) for it in seeds.MESSAGES),
    *((it, parse_entry) for it in honest_log.HONEST),
    *((it, _read(type(it))) for it in seeds.TRAINER),
    (seeds.ADA.card, parse_card),
    (seeds.SITE.card, parse_card),
    (seeds.MANIFEST, parse_published_manifest),
    (seeds.TERMS, _read(Terms)),
    (seeds.DECISION, _read(SignedDecisions)),
    (parse_program(seeds.LOSS.encode()), parse_program),
]


@pytest.mark.parametrize(("value", "parse"), WRITTEN, ids=lambda it: type(it).__name__)
def test_every_written_value_is_read_back(value: StrictModel, parse: Callable[[bytes], object]) -> None:
    again = parse(value.canonical())
    assert again == value
    assert isinstance(again, StrictModel)
    assert again.canonical() == value.canonical()


NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_any_value_of_canonical_json_is_read_back(value: object) -> None:
    spelled = canonical_bytes(value)
    assert parse_canonical(spelled, maximum_bytes=_SIZE, what="It") == value
    assert json.loads(spelled, parse_int=float) == value, "another reader, for whom all numbers are floats"


LABELS = st.text(st.characters(categories=["L", "N"], max_codepoint=0x17F), min_size=1, max_size=20).filter(
    lambda it: it.strip() == it
)
BOUNDS = st.tuples(st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15)).filter(lambda it: it[0] < it[1])


@settings(max_examples=100, deadline=None)
@given(names=st.lists(LABELS, min_size=3, max_size=6, unique=True), bounds=BOUNDS, units=st.integers(50, 10**8))
def test_any_manifest_is_read_back(names: list[str], bounds: tuple[int, int], units: int) -> None:
    fields = json.loads(seeds.MANIFEST.canonical())
    columns = [{"type": "integer", "name": name, "minimum": bounds[0], "maximum": bounds[1]} for name in names[2:]]
    columns += [{"type": "category", "name": names[1], "categories": names}]
    unit = {"column": names[0], "maximum_records": 1, "nominal_units": units}
    changes = {"target": names[1], "privacy_unit": unit, "columns": columns, "holdout": {"fraction": 0}}
    try:
        manifest = Manifest.model_validate_json(json.dumps({**fields, **changes}))
    except ValueError:
        return  # a name that is not in Unicode's composed form
    assert parse_published_manifest(manifest.canonical()) == manifest


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.float32, (1, 6), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_any_parameters_and_model_are_read_back(values: np.ndarray) -> None:
    program = parse_program(seeds.LOSS.encode())
    assert (
        read_parameters(save({"weight": values}), program, maximum_bytes=_SIZE)["weight"].tobytes() == values.tobytes()
    )
    assert b"".join(checked_model((values.tobytes(),), seeds.TERMS)) == values.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000))
def test_any_blob_is_read_back(content: bytes) -> None:
    sealed = SealedMemory(content)
    assert open_blob(sealed.reference, sealed.pieces(0), 3000) == content


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from((1, 30)))
def test_any_content_is_read_back_from_letter_or_relay(content: bytes, repeated: int) -> None:
    given, sealed = wrap(content * repeated)
    fetched = () if sealed is None else sealed.pieces(0)
    assert given.plain_size == repeated * len(content)
    assert b"".join(unwrap(given, repeated * len(content), lambda _reference: fetched)) == content * repeated


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2**64 - 1), st.binary(max_size=40)), max_size=20, unique_by=lambda it: it[0]))
def test_any_batch_of_letters_is_read_back(letters: list[tuple[int, bytes]]) -> None:
    assert split_letters(join_letters(sorted(letters)), 0) == sorted(letters)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(seeds.MESSAGES), st.integers(1, 2**53 - 1))
def test_any_letter_is_read_back(message: Message, number: int) -> None:
    opened = open_envelope(
        seeds.SITE, seal(seeds.ADA, seeds.SITE.card, number, message), {seeds.ADA.party: seeds.ADA.card}.get
    )
    assert (opened.sender, opened.number, opened.message) == (seeds.ADA.card, number, message)


def _open_letter(data: bytes) -> None:
    open_envelope(seeds.SITE, data, {seeds.ADA.party: seeds.ADA.card, seeds.PARTNER.party: seeds.PARTNER.card}.get)


def _open_decision(data: bytes) -> None:
    signed = parse_model(SignedDecisions, data, maximum_bytes=_SIZE, what="The decision")
    verify_decisions(signed, seeds.OWNER.public_key().public_bytes_raw(), seeds.ADA.party)


def _open_advertisement(data: bytes) -> None:
    parse_model(Advertisement, data, maximum_bytes=_SIZE, what="It").verify(bytes.fromhex(seeds.SITE.card.signing_key))


def _open_note(data: bytes) -> None:
    open_checkpoint(data, log_origin(honest_log.FACTS.site), bytes.fromhex(honest_log.FACTS.log_key))


def _open_log(data: bytes) -> None:
    facts = honest_log.FACTS
    report = verify_bundle(data, Pinned(bytes.fromhex(facts.log_key), bytes.fromhex(facts.owner_key)))
    if report.broken:
        raise CloisterError(report.broken[0].reason)


def _open_request(data: bytes) -> None:
    headers = dict(line.split(": ", 1) for line in data.decode("latin-1").split("\n") if ": " in line)
    request, signature = parse_headers(headers, _AUDIENCE, "GET", "/mail")
    request.verify(seeds.ADA.signing.public_key().public_bytes_raw(), signature)


_SEALED = SealedMemory(bytes(range(200)))
_REQUEST = SignedRequest(seeds.ADA.party, _AUDIENCE, "GET", "/mail", "0" * 64, 1_900_000_000, "1" * 32, NO_SESSION)
PROTECTED: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "card": (seeds.SITE.card.canonical(), parse_card),
    "letter": (seal(seeds.ADA, seeds.SITE.card, 7, seeds.MESSAGES[2]), _open_letter),
    "blob": (b"".join(_SEALED.pieces(0)), lambda data: open_blob(_SEALED.reference, (data,), 200)),
    "decision": (seeds.DECISION.canonical(), _open_decision),
    "advertisement": (seeds.ADVERTISEMENTS[0].canonical(), _open_advertisement),
    "checkpoint": (honest_log.note(honest_log.HONEST), _open_note),
    "log": (seeds.LOG_BUNDLE, _open_log),
    "request to the relay": (
        "\n".join(f"{name}: {value}" for name, value in _REQUEST.headers(seeds.ADA.signing).items()).encode(),
        _open_request,
    ),
}


@pytest.mark.parametrize("name", [it for it in PROTECTED if it != "log"])
def test_every_single_flipped_bit_is_noticed(name: str) -> None:
    data, read = PROTECTED[name]
    read(data)
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(CloisterError):
            read(bytes(flipped))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 8 * len(seeds.LOG_BUNDLE) - 1))
def test_a_flipped_bit_of_a_log_is_noticed(place: int) -> None:
    flipped = bytearray(seeds.LOG_BUNDLE)
    flipped[place // 8] ^= 1 << place % 8
    _open_log(seeds.LOG_BUNDLE)
    with pytest.raises(CloisterError):
        _open_log(bytes(flipped))
