"""The one way from untrusted bytes to a typed value: strict JSON, then a frozen model without extra fields."""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from policies.errors import InvalidInputError
from policies.statements.canonical import canonical_bytes, parse_canonical

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 or HMAC-SHA-256 value, 64 lower-case hexadecimal digits."""

PublicKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A raw 32-byte public key as lower-case hexadecimal digits."""

Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
"""A 64-byte Ed25519 signature as lower-case hexadecimal digits."""

Timestamp = Annotated[int, Field(ge=0, le=2**40)]
"""Seconds since 1970, UTC."""

PartyId = Digest
"""Names a party: the digest of its identity signing key."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""A machine name: lower-case letters, digits and hyphens, at most 63."""

_UNSEEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u2800\ufff9-\ufffb"  # controls, separators, blanks, annotations
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# The second and third line are Unicode's property Default_Ignorable_Code_Point.

PLAIN_TEXT = f"^[^{_UNSEEN}]*$"
"""A pattern for text that shows what it says: no control, invisible or direction-changing characters."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=PLAIN_TEXT)]
"""A sentence or paragraph for people: no control, zero-width or direction-changing characters."""


class StrictModel(BaseModel):
    """A frozen value with exactly the declared fields, no coercion, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    def canonical(self) -> bytes:
        """The canonical JSON bytes of this value, as digested and signed."""
        return canonical_bytes(self.model_dump(mode="json"))


def one_line(value: str) -> str:
    """Check that `value` is one line with single spaces between its words."""
    if value != " ".join(value.split()):
        raise ValueError("a name is one line with single spaces between its words")
    return value


PartyName = Annotated[Text, StringConstraints(max_length=100), AfterValidator(one_line)]
"""What people call a party."""

_UNSEEN_CHARACTER = re.compile(f"[{_UNSEEN}]")
_OWN_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_TEXT = 2000

Model = TypeVar("Model", bound=StrictModel)


def parse_model(model: type[Model], data: bytes, *, maximum_bytes: int, what: str) -> Model:
    """Parse untrusted canonical JSON into `model`.

    Raises:
        InvalidInputError: naming `what` and the first field that is wrong; never quoting the content.
    """
    parse_canonical(data, maximum_bytes=maximum_bytes, what=what)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise InvalidInputError(f"{what} is not valid: {describe_validation_error(error)}.") from error


def describe_validation_error(error: ValidationError) -> str:
    """Say which field is wrong and what was expected, without the value that was got."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) if _OWN_WORD.fullmatch(str(part)) else "…" for part in first["loc"]) or "the whole"
    said = first["msg"]
    if first["type"] == "string_pattern_mismatch":  # a pattern tells people nothing
        said = "it has another form than expected, or invisible characters"
    elif first["type"] == "union_tag_invalid":  # the message would quote what was got
        said = f"it must be one of the kinds {first['ctx']['expected_tags']}"
    return f"{place}: {said}"


def as_text(sentence: str) -> str:
    """Make a composed sentence fit for `Text`: quoted parts may have made it too long, or hold characters it bars."""
    plain = "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in sentence)
    return _UNSEEN_CHARACTER.sub("\ufffd", plain)[:_LONGEST_TEXT] or "No reason was given."
