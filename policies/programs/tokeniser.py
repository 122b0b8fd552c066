"""The tokeniser of a study on texts: a strict subset of what the `tokenizers` library reads, as data and never as code.

Whatever passes here is total and quick on any text: no regular expression that a researcher wrote, no random choice, no
word that lacks a token for the unknown, no word so long that a search through its pieces would take long.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from policies.errors import InvalidInputError
from policies.programs.text_steps import Normalizer, PostProcessor, PreTokenizer, TokenText
from policies.record_form import TensorForm
from policies.statements.canonical import parse_json
from policies.statements.digests import digest
from policies.statements.schema import Digest, StrictModel, describe_validation_error

MAXIMUM_TOKENISER_BYTES = 16 * 2**20
MAXIMUM_VOCABULARY = 300_000
MAXIMUM_TOKENS = 4096
TOKENISER_DOMAIN = "tokeniser"
"""The domain of a tokeniser's digest, for whoever digests it while it comes in."""

BYTES_A_TOKEN = 32
"""Of a text, a site reads the first BYTES_A_TOKEN × length bytes: no text takes longer than these."""

_LONGEST_WORD = 100
_LONGEST_PIECE = 32

PieceText = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_PIECE)]
Score = Annotated[float, Field(ge=-1e6, le=1e6)]
TokenId = Annotated[int, Field(ge=0, lt=MAXIMUM_VOCABULARY)]
Vocabulary = Annotated[dict[TokenText, TokenId], Field(min_length=1, max_length=MAXIMUM_VOCABULARY)]


class AddedToken(StrictModel):
    """A token that is looked for in the text before anything else."""

    id: TokenId
    content: TokenText
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: bool


class WordPiece(StrictModel):
    """Each word is cut into the longest pieces of the vocabulary from its start (BERT)."""

    type: Literal["WordPiece"]
    unk_token: TokenText
    continuing_subword_prefix: Annotated[str, StringConstraints(max_length=16)]
    max_input_chars_per_word: Annotated[int, Field(ge=1, le=_LONGEST_WORD)]
    vocab: Vocabulary


class BytePairs(StrictModel):
    """Each word is put together from its characters by merges, the first ones first (GPT-2, RoBERTa)."""

    type: Literal["BPE"]
    dropout: None
    unk_token: TokenText | None
    continuing_subword_prefix: Literal[""] | None
    end_of_word_suffix: Annotated[str, StringConstraints(max_length=16)] | None
    fuse_unk: bool
    byte_fallback: bool
    ignore_merges: bool
    vocab: Vocabulary
    merges: Annotated[tuple[tuple[TokenText, TokenText], ...], Field(max_length=MAXIMUM_VOCABULARY)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(not {first, second, first + second} <= self.vocab.keys() for first, second in self.merges):
            raise ValueError("a merge takes or makes what is not in the vocabulary")
        return self


class WordLevel(StrictModel):
    """Each word is one token."""

    type: Literal["WordLevel"]
    unk_token: TokenText
    vocab: Vocabulary


class Unigram(StrictModel):
    """Each word is cut into the pieces whose scores sum to the most (SentencePiece: XLM-R, T5, ALBERT).

    The search (Viterbi) takes as long as the text times the longest piece.
    """

    type: Literal["Unigram"]
    unk_id: TokenId
    vocab: Annotated[tuple[tuple[PieceText, Score], ...], Field(min_length=1, max_length=MAXIMUM_VOCABULARY)]
    byte_fallback: bool

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.unk_id >= len(self.vocab):
            raise ValueError("unk_id is not in the vocabulary, so that an unknown character would be an error")
        if len(self.words) != len(self.vocab):
            raise ValueError("two pieces of the vocabulary are the same text; give each once")
        return self

    @property
    def words(self) -> dict[str, int]:
        """The number of each piece: its place."""
        return {piece: number for number, (piece, _) in enumerate(self.vocab)}


class Tokens(StrictModel):
    """What terms say of the tokeniser: its digest, and the tokens that it makes of one text."""

    tokeniser: Digest
    length: Annotated[int, Field(ge=1, le=MAXIMUM_TOKENS)]
    vocabulary: Annotated[int, Field(ge=1, le=MAXIMUM_VOCABULARY)]

    @property
    def form(self) -> TensorForm:
        """The features of a record: int64 [length], each from 0 to vocabulary − 1."""
        return TensorForm(shape=(self.length,), dtype="int64", choices=self.vocabulary)


class Tokeniser(StrictModel):
    """From a text to `length` tokens: cut off behind them, or filled up with the token `padding`."""

    version: Literal["cloister-tokeniser/1"]
    length: Annotated[int, Field(ge=1, le=MAXIMUM_TOKENS)]
    padding: TokenId
    added_tokens: Annotated[tuple[AddedToken, ...], Field(max_length=1000)]
    normalizer: Normalizer | None
    pre_tokenizer: PreTokenizer
    post_processor: PostProcessor | None
    model: Annotated[WordPiece | BytePairs | WordLevel | Unigram, Field(discriminator="type")]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unknown, words = None if isinstance(self.model, Unigram) else self.model.unk_token, self.words
        if unknown is not None and unknown not in words:
            raise ValueError("unk_token is not in the vocabulary, so that an unknown word would be an error")
        if len(set(words.values())) != len(words):
            raise ValueError("two words of the vocabulary have the same number; give each its own")
        if len({token.content for token in self.added_tokens}) != len(self.added_tokens):
            raise ValueError("two added tokens are the same text; give each once")
        if any(words.get(token.content, token.id) != token.id for token in self.added_tokens):
            raise ValueError("an added token has another number than in the vocabulary")
        if self.post_processor is not None and self.post_processor.added >= self.length:
            raise ValueError("length has no room for a token of the text beside those that the post_processor adds")
        return self

    @property
    def words(self) -> dict[str, int]:
        """The number of each token of the model."""
        return self.model.words if isinstance(self.model, Unigram) else self.model.vocab

    @property
    def numbers(self) -> dict[str, int]:
        """The number of each token that the file spells, added ones included."""
        return {**self.words, **{token.content: token.id for token in self.added_tokens}}

    @property
    def vocabulary(self) -> int:
        """One more than the largest number of a token."""
        added = () if self.post_processor is None else self.post_processor.ids
        return 1 + max(self.padding, *added, *self.numbers.values())

    def encoded(self) -> bytes:
        """The file as it travels: JSON, whose digest stands in the terms."""
        return _json(self.model_dump(mode="json"))

    def library_file(self) -> bytes:
        """The file that the `tokenizers` library reads, cutting off and filling up included."""
        return _json(
            {
                **self.model_dump(mode="json", exclude={"version", "length", "padding"}),
                "version": "1.0",
                "truncation": {
                    "direction": "Right",
                    "max_length": self.length,
                    "strategy": "LongestFirst",
                    "stride": 0,
                },
                "padding": {
                    "strategy": {"Fixed": self.length},
                    "direction": "Right",
                    "pad_to_multiple_of": None,
                    "pad_id": self.padding,
                    "pad_type_id": 0,
                    "pad_token": "",
                },
                "decoder": None,
            }
        )


def text_start(text: bytes, length: int) -> str:
    """The part of a text in UTF-8 that is read to make `length` tokens of it: whole characters, within the budget."""
    end = BYTES_A_TOKEN * length
    while 0 < end < len(text) and text[end] & 0xC0 == 0x80:  # a byte that continues a character
        end -= 1
    return text[:end].decode(errors="replace")


def tokens_of(tokeniser: Tokeniser, file: bytes) -> Tokens:
    """What terms say of a tokeniser that travels as `file`."""
    return Tokens(tokeniser=digest(TOKENISER_DOMAIN, file), length=tokeniser.length, vocabulary=tokeniser.vocabulary)


def refuse_vanishing_tokens(tokeniser: Tokeniser, normalize: Callable[[str], str]) -> None:
    """Refuse added tokens of whose text `normalize`, the tokeniser's own normalizer in the library, leaves nothing.

    The library would look for them everywhere in a text, and panic where that is within a character.

    Raises:
        InvalidInputError: naming the first one.
    """
    for token in tokeniser.added_tokens:
        if token.normalized and not normalize(token.content):
            raise InvalidInputError(
                f"The tokeniser's normalizer leaves nothing of the text of the added token {token.id}; "
                "take the token out, or make it one that is not normalized."
            )


def parse_tokeniser(data: bytes) -> Tokeniser:
    """Parse an untrusted tokeniser. It need not be canonical: a large vocabulary would take long to spell again.

    Raises:
        InvalidInputError: not strict JSON of at most `MAXIMUM_TOKENISER_BYTES`, or a step that is not allowed.
    """
    parse_json(data, maximum_bytes=MAXIMUM_TOKENISER_BYTES, what="The tokeniser")
    try:
        return Tokeniser.model_validate_json(data)
    except ValidationError as error:
        raise InvalidInputError(
            f"The tokeniser is not one that sites take: {describe_validation_error(error)}; "
            "policies/programs/text_steps.py lists the steps that it may have."
        ) from error


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
