"""A study's tokeniser out of what researchers have: a `tokenizers` file, or the tokenizer itself."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from policies.errors import InvalidInputError
from policies.programs.tokeniser import (
    MAXIMUM_TOKENISER_BYTES,
    Tokens,
    parse_tokeniser,
    refuse_vanishing_tokens,
    text_start,
    tokens_of,
)
from policies.statements.canonical import parse_json

_NOT_TAKEN = ("version", "truncation", "padding", "decoder")
_USUAL_PADDING = ("[PAD]", "<pad>")


@dataclass(frozen=True)
class TextTokens:
    """How a plan's model takes texts: as `length` tokens of this tokeniser.

    `source` is a `tokenizer.json`, its content, or a `tokenizers.Tokenizer`. Texts are cut off behind `length` tokens,
    and shorter ones filled up with the token `padding` (as it is spelled; without one, the tokeniser's own).

    Of a text, sites read the first 32 × `length` bytes of its UTF-8 and no more: `start` gives that part. Whoever
    tokenises texts for the same model elsewhere must cut them by it first, or long ones give other tokens there.
    """

    source: Path | bytes | Tokenizer
    length: int
    padding: str | None = None

    def start(self, text: str) -> str:
        """The part of a text that sites read."""
        return text_start(text.encode(), self.length)


def load_tokeniser(wanted: TextTokens) -> tuple[bytes, Tokens]:
    """The tokeniser as it travels, reduced to what sites take, and what terms say of it.

    Raises:
        InvalidInputError: it has a step or a token that sites do not take, or no token to fill up with; saying which.
    """
    tokenizer = wanted.source if isinstance(wanted.source, Tokenizer) else _loaded(wanted.source)
    document = parse_json(
        tokenizer.to_str().encode(), maximum_bytes=4 * MAXIMUM_TOKENISER_BYTES, what="The tokeniser's file"
    )
    _refuse_character_map(document["normalizer"])
    steps = {name: value for name, value in document.items() if name not in _NOT_TAKEN}
    padding = _padding(wanted, tokenizer)
    written = {**steps, "version": "cloister-tokeniser/1", "length": wanted.length, "padding": padding}
    tokeniser = parse_tokeniser(json.dumps(written).encode())
    if tokenizer.normalizer is not None:
        refuse_vanishing_tokens(tokeniser, tokenizer.normalizer.normalize_str)
    file = tokeniser.encoded()
    return file, tokens_of(tokeniser, file)


def _refuse_character_map(normalizer: dict[str, Any] | None) -> None:
    """SentencePiece's map is a binary that the library follows wherever it points; no site can check it."""
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    if any(step["type"] == "Precompiled" for step in steps):
        raise InvalidInputError(
            "The tokeniser's normalizer has a Precompiled character map, which sites do not take; set "
            "tokenizer.normalizer = normalizers.NFKC() on a Tokenizer, which is nearly the same, and name that."
        )


def _loaded(source: Path | bytes) -> Tokenizer:
    content = source if isinstance(source, bytes) else source.read_bytes()
    try:
        return Tokenizer.from_buffer(content)
    except ValueError as error:
        raise InvalidInputError("The tokenizers library cannot load the tokeniser; check its file.") from error


def _padding(wanted: TextTokens, tokenizer: Tokenizer) -> int:
    own = () if tokenizer.padding is None else (tokenizer.padding["pad_token"],)
    names = (*own, *_USUAL_PADDING) if wanted.padding is None else (wanted.padding,)
    found = next((number for number in map(tokenizer.token_to_id, names) if number is not None), None)
    if found is None:
        raise InvalidInputError(
            f"The tokeniser has no token {' or '.join(names)} to fill short texts up with; name one as `padding`."
        )
    return int(found)
