"""P1 of texts: no text makes a tokeniser slow or fail, and none says anything through another's tokens."""

import json
import string
import time
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from datasites.training.tokens import TextReader, open_reader
from policies.programs.tokeniser import BYTES_A_TOKEN, parse_tokeniser, text_start, tokens_of
from researcher.tokeniser import TextTokens, load_tokeniser
from tests.word_pieces import word_pieces

LONGEST = 65_536
"""Bytes of the longest text that a manifest allows."""

LENGTH = LONGEST // BYTES_A_TOKEN
"""So many tokens that such a text is read to its end."""

SECONDS = 3.0
"""Of processor time for one such text; the worst took 0.6."""


def bert() -> tuple[bytes, Any]:
    letters = {letter: number for number, letter in enumerate(string.ascii_lowercase, start=1)}
    pieces = {f"##{'a' * size}": 26 + size for size in range(1, 98)}
    tokenizer = Tokenizer(models.WordPiece({"?": 0, **letters, **pieces}, unk_token="?", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return load_tokeniser(TextTokens(tokenizer, LENGTH, padding="?"))


def byte_pairs() -> tuple[bytes, Any]:
    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges, word = [], "a"
    while len(word) < 128:
        merges.append((word, word))
        word += word
        vocabulary[word] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.normalizer = normalizers.NFKD()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return load_tokeniser(TextTokens(tokenizer, LENGTH, padding="a"))


def unigram() -> tuple[bytes, Any]:
    """Every piece is the beginning of longer ones, up to the longest that is taken."""
    signs = ("a", "▁", ".", "北", "\u0301\u0316", "ة", "'")
    pieces = dict.fromkeys(["?", *((sign * 32)[:size] for sign in signs for size in range(1, 33))])
    tokenizer = Tokenizer(models.Unigram([(piece, -0.9 * len(piece)) for piece in pieces], 0, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKD()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return load_tokeniser(TextTokens(tokenizer, LENGTH, padding="?"))


TEXTS = {
    "one word": b"a" * LONGEST,
    "longest words": (b"a" * 98 + b"b ") * (LONGEST // 100),
    "spaces": b" " * (LONGEST - 1) + b"x",
    "signs that become eighteen": "\ufdfa".encode() * (LONGEST // 3),
    "accents without end": b"a" + "\u0301\u0316".encode() * (LONGEST // 4),
    "signs": b"." * LONGEST,
    "apostrophes": b"'" * LONGEST,
    "Chinese": "北".encode() * (LONGEST // 3),
    "no UTF-8": b"\xff" * LONGEST,
    "nothing": b"",
    "zeros": bytes(100),
}


@pytest.mark.parametrize("make", [bert, byte_pairs, unigram])
def test_no_text_makes_a_tokeniser_fail_or_take_long(make: Any) -> None:
    file, tokens = make()
    reader = open_reader(file, tokens, tokens.form)
    for name, text in TEXTS.items():
        start = time.process_time()
        found = reader.read([text])
        assert time.process_time() - start < SECONDS, name
        assert found.shape == (1, LENGTH), name
        assert ((found >= 0) & (found < tokens.vocabulary)).all(), name


def test_a_text_is_read_no_further_than_its_budget() -> None:
    file = json.dumps(word_pieces()).encode()
    tokens = tokens_of(parse_tokeniser(file), file)
    reader = open_reader(file, tokens, tokens.form)
    read = BYTES_A_TOKEN * tokens.length
    assert reader.read([b" " * (read - 1) + b"a"])[0, 0] == 1
    assert not reader.read([b" " * read + b"a"]).any()


def test_before_an_approval_a_tokeniser_is_tried_on_whole_texts_of_many_scripts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[bytes] = []

    def noted(text: bytes, length: int) -> str:
        tried.append(text)
        return text_start(text, length)

    monkeypatch.setattr("datasites.training.tokens.text_start", noted)
    TextReader(parse_tokeniser(json.dumps(word_pieces()).encode()))
    assert {len(text) for text in tried} == {BYTES_A_TOKEN * 8}
    assert {len(script.encode()) for script in "aя北\U0001f600" if any(script.encode() in text for text in tried)} == {
        1,
        2,
        3,
        4,
    }


def test_one_text_says_nothing_through_anothers_tokens() -> None:
    file, tokens = bert()
    reader = open_reader(file, tokens, tokens.form)
    alone = reader.read([b"abc de f"])
    for text in TEXTS.values():
        assert np.array_equal(reader.read([text, b"abc de f"])[1:], alone)
