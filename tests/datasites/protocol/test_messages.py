"""Messages have one spelling, known types and bounded fields."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.protocol.identity import Identity
from datasites.protocol.messages import (
    MAXIMUM_MESSAGE_BYTES,
    CatalogRequest,
    MaskedUpdateMessage,
    Message,
    RoundRefused,
    RoundStart,
    SetupStart,
    StudyClose,
    StudyStatus,
    StudySubmission,
    parse_message,
)
from datasites.protocol.question_messages import RequestAnswer, RequestQuestion
from datasites.protocol.sealed import SealedMemory
from datasites.protocol.weight_messages import ParameterPart, WeightsWanted
from policies.errors import CloisterError, InvalidInputError
from policies.question import Question, SignedQuestion
from policies.statements.canonical import canonical_bytes

REFERENCE = SealedMemory(b"content").reference
STUDY, RUN, DIGEST = "0" * 32, "1" * 32, "2" * 64
QUESTION = Question(version="cloister-question/1", site=DIGEST, request=DIGEST, number=1, text="Why?", asked_at=1)
EXAMPLES: list[Message] = [
    CatalogRequest(),
    StudySubmission(
        study=STUDY,
        terms="{}",
        loss_program="{}",
        metrics_program="{}",
        source="def f():\n\treturn 1\n",
        parameter_parts=(ParameterPart(digest=DIGEST, size=7, sent=True),),
        initial_parameters=REFERENCE,
        tokeniser=None,
    ),
    SetupStart(study=STUDY, run=RUN, terms_digest=DIGEST),
    RoundStart(study=STUDY, run=RUN, round=1, model=REFERENCE),
    StudyClose(study=STUDY, reason="finished"),
    StudyStatus(study=STUDY, status="pending", detail="waits for the owner"),
    MaskedUpdateMessage(
        study=STUDY, run=RUN, round=2, round_context=DIGEST, vector_digest=DIGEST, signature="3" * 128, update=REFERENCE
    ),
    RoundRefused(study=STUDY, run=RUN, round=1, reason="the deadline is past"),
    WeightsWanted(study=STUDY, parts=(DIGEST,)),
    RequestQuestion(
        name=STUDY, signed=SignedQuestion(question=QUESTION, signer=DIGEST, appointment=None, signature="3" * 128)
    ),
    RequestAnswer(request=DIGEST, number=1, answer="Because."),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: str(message.type))
def test_every_message_comes_back_from_its_one_spelling(message: Message) -> None:
    assert parse_message(message.canonical()) == message
    spaced = json.dumps(json.loads(message.canonical())).encode()
    with pytest.raises(InvalidInputError):
        parse_message(spaced + b" ")


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: str(message.type))
def test_missing_additional_and_mistyped_fields_are_refused(message: Message) -> None:
    fields = json.loads(message.canonical())
    for field in fields:
        with pytest.raises(InvalidInputError):
            parse_message(canonical_bytes({key: value for key, value in fields.items() if key != field}))
        with pytest.raises(InvalidInputError):
            parse_message(canonical_bytes({**fields, field: [{}]}))
    with pytest.raises(InvalidInputError):
        parse_message(canonical_bytes({**fields, "extra": 1}))


@pytest.mark.parametrize(
    "changes", [{"round": 0}, {"round": 10_002}, {"round": 1.5}, {"run": "1" * 31}, {"version": 2}]
)
def test_fields_out_of_bounds_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        parse_message(canonical_bytes({**json.loads(EXAMPLES[3].canonical()), **changes}))


def test_no_error_quotes_what_was_got() -> None:
    fields = json.loads(EXAMPLES[3].canonical())
    fields["model"]["key"] = REFERENCE.key[:-1] + "Z"
    with pytest.raises(InvalidInputError) as caught:
        parse_message(canonical_bytes(fields))
    assert REFERENCE.key[:-1] not in f"{caught.value} {caught.value.__cause__}"
    with pytest.raises(InvalidInputError) as caught:
        parse_message(b'{"type":"evil-text","version":1}')
    assert "evil" not in f"{caught.value} {caught.value.__cause__}"


def test_a_message_shows_no_key() -> None:
    assert REFERENCE.key not in repr(EXAMPLES[3])


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b'{"type":[],"version":1}', b'{"type":"catalog-request"}', b'{"\\ud800":1}', b"\xff", b"NaN"],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_message(data)


def test_a_message_too_large_is_refused_unread() -> None:
    with pytest.raises(InvalidInputError, match="at most"):
        parse_message(b" " * (MAXIMUM_MESSAGE_BYTES + 1))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(EXAMPLES[1:]), st.data())
def test_no_value_in_any_field_crashes_the_parser(message: Message, data: st.DataObject) -> None:
    fields = json.loads(message.canonical())
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(JSON_VALUES)
    try:
        assert parse_message(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())
    except CloisterError:
        return


def test_cards_are_no_messages(tmp_path_factory: pytest.TempPathFactory) -> None:
    card = Identity.create(tmp_path_factory.mktemp("ada"), "ada", "researcher").card
    with pytest.raises(InvalidInputError):
        parse_message(card.canonical())
