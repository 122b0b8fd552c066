"""The steps of a tokeniser around its model: what is made of a text before it is cut, how it is cut, what is added."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.statements.schema import StrictModel

_MOST_STEPS = 8
_NORMAL_FORMS = frozenset({"NFC", "NFD", "NFKC", "NFKD"})
_SPELLERS = frozenset({"ByteLevel", "Metaspace"})

TokenText = Annotated[str, StringConstraints(min_length=1, max_length=256)]
SpecialId = Annotated[int, Field(ge=0, lt=300_000)]


class BertNormalizer(StrictModel):
    """Control characters out, spaces around Chinese characters, accents off, lower case."""

    type: Literal["BertNormalizer"]
    clean_text: bool
    handle_chinese_chars: bool
    strip_accents: bool | None
    lowercase: bool


class PlainNormalizer(StrictModel):
    """A Unicode normal form, lower case, or accents off. None makes more than 18 characters of one."""

    type: Literal["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]


class Strip(StrictModel):
    """Spaces off the ends."""

    type: Literal["Strip"]
    strip_left: bool
    strip_right: bool


SingleNormalizer = Annotated[BertNormalizer | PlainNormalizer | Strip, Field(discriminator="type")]


class NormalizerSequence(StrictModel):
    """One after the other, each kind once, and one normal form: each may make a text longer, again and again."""

    type: Literal["Sequence"]
    normalizers: Annotated[tuple[SingleNormalizer, ...], Field(max_length=_MOST_STEPS)]

    @model_validator(mode="after")
    def _once(self) -> Self:
        _require_once([it.type for it in self.normalizers], _NORMAL_FORMS)
        return self


Normalizer = Annotated[BertNormalizer | PlainNormalizer | Strip | NormalizerSequence, Field(discriminator="type")]


class PlainPreTokenizer(StrictModel):
    """Cut at spaces, or at spaces and punctuation."""

    type: Literal["BertPreTokenizer", "Whitespace", "WhitespaceSplit"]


class ByteLevelPreTokenizer(StrictModel):
    """Cut as GPT-2 does, by the library's own rule, into bytes that are spelled as letters."""

    type: Literal["ByteLevel"]
    add_prefix_space: bool
    trim_offsets: bool
    use_regex: Literal[True]


class Metaspace(StrictModel):
    """Cut at spaces, which a visible sign replaces."""

    type: Literal["Metaspace"]
    replacement: Annotated[str, StringConstraints(min_length=1, max_length=1)]
    prepend_scheme: Literal["first", "never", "always"]
    split: Literal[True]


SinglePreTokenizer = Annotated[PlainPreTokenizer | ByteLevelPreTokenizer | Metaspace, Field(discriminator="type")]


class PreTokenizerSequence(StrictModel):
    """One after the other, each kind once, and one that spells anew: each time, ByteLevel doubles a text."""

    type: Literal["Sequence"]
    pretokenizers: Annotated[tuple[SinglePreTokenizer, ...], Field(min_length=1, max_length=_MOST_STEPS)]

    @model_validator(mode="after")
    def _once(self) -> Self:
        _require_once([it.type for it in self.pretokenizers], _SPELLERS)
        return self


PreTokenizer = Annotated[
    PlainPreTokenizer | ByteLevelPreTokenizer | Metaspace | PreTokenizerSequence, Field(discriminator="type")
]


class BertProcessing(StrictModel):
    """One token before the text and one behind."""

    type: Literal["BertProcessing"]
    sep: tuple[TokenText, SpecialId]
    cls: tuple[TokenText, SpecialId]

    @property
    def added(self) -> int:
        """How many tokens it adds to a text."""
        return 2

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens that it adds."""
        return (self.sep[1], self.cls[1])


class RobertaProcessing(BertProcessing):
    """The same, for byte-level tokens."""

    type: Literal["RobertaProcessing"]  # type: ignore[assignment]
    trim_offsets: bool
    add_prefix_space: bool


class ByteLevelProcessing(StrictModel):
    """Nothing but offsets, which are not used."""

    type: Literal["ByteLevel"]
    add_prefix_space: bool
    trim_offsets: bool
    use_regex: bool

    @property
    def added(self) -> int:
        """How many tokens it adds to a text."""
        return 0

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens that it adds."""
        return ()


class _Named(StrictModel):
    id: TokenText
    type_id: Annotated[int, Field(ge=0, le=1)]


class _TextPlace(_Named):
    id: Literal["A", "B"]


class SpecialPiece(StrictModel):
    """The place of a special token."""

    SpecialToken: _Named


class TextPiece(StrictModel):
    """The place of the text."""

    Sequence: _TextPlace


Piece = SpecialPiece | TextPiece


class SpecialToken(StrictModel):
    """The tokens behind the name of a special one."""

    id: TokenText
    ids: Annotated[tuple[SpecialId, ...], Field(min_length=1, max_length=8)]
    tokens: Annotated[tuple[TokenText, ...], Field(min_length=1, max_length=8)]


class TemplateProcessing(StrictModel):
    """Special tokens around the text. There are no pairs of texts, but the library wants their template too."""

    type: Literal["TemplateProcessing"]
    single: Annotated[tuple[Piece, ...], Field(min_length=1, max_length=_MOST_STEPS)]
    pair: Annotated[tuple[Piece, ...], Field(min_length=1, max_length=2 * _MOST_STEPS)]
    special_tokens: Annotated[dict[TokenText, SpecialToken], Field(max_length=_MOST_STEPS)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        named = {it.SpecialToken.id for it in (*self.single, *self.pair) if isinstance(it, SpecialPiece)}
        texts = [it.Sequence.id for it in self.single if isinstance(it, TextPiece)]
        if not named <= self.special_tokens.keys() or any(it.id != key for key, it in self.special_tokens.items()):
            raise ValueError("the template names a special token that special_tokens does not hold under that name")
        if any(len(it.ids) != len(it.tokens) for it in self.special_tokens.values()):
            raise ValueError("a special token has as many ids as tokens")
        if texts != ["A"]:
            raise ValueError("the template for single texts has the text A once")
        return self

    @property
    def added(self) -> int:
        """How many tokens it adds to a text."""
        specials = [it.SpecialToken.id for it in self.single if isinstance(it, SpecialPiece)]
        return sum(len(self.special_tokens[name].ids) for name in specials)

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens that it adds."""
        return tuple(number for token in self.special_tokens.values() for number in token.ids)


PostProcessor = Annotated[
    BertProcessing | RobertaProcessing | ByteLevelProcessing | TemplateProcessing, Field(discriminator="type")
]


def _require_once(kinds: list[str], alternatives: frozenset[str]) -> None:
    if len(set(kinds)) < len(kinds):
        raise ValueError("each kind of step may stand in a sequence once")
    if len(alternatives.intersection(kinds)) > 1:
        raise ValueError(f"a sequence may hold one of {', '.join(sorted(alternatives))}")
