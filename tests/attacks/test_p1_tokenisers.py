"""P1 of tokenisers: they are data and no code, and no file makes one that is slow, fails, or fills the memory."""

import json

import pytest
from tokenizers import Tokenizer

from datasites.training.tokens import open_reader
from policies.errors import InvalidInputError
from policies.programs.tokeniser import MAXIMUM_TOKENISER_BYTES, parse_tokeniser, tokens_of
from tests.word_pieces import Document, word_pieces

LONGER = 30
"""How many times as long as a text it may become before the model; the worst became 22 times as long."""


def parse(document: Document) -> None:
    parse_tokeniser(json.dumps(document).encode())


def refused(document: Document, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        parse(document)


def test_the_document_that_the_others_spoil_is_taken() -> None:
    parse(word_pieces())


@pytest.mark.parametrize(
    "step",
    [
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "a"}}]}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": False}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}},
        {"post_processor": {"type": "Sequence", "processors": []}},
        {"decoder": None},
    ],
)
def test_steps_off_the_list_are_refused(step: Document) -> None:
    refused(word_pieces(**step), "not one that sites take")


def test_sequences_in_sequences_are_refused() -> None:
    deep: Document = {"type": "NFC"}
    for _ in range(3):
        deep = {"type": "Sequence", "normalizers": [deep]}
    refused(word_pieces(normalizer=deep), "normalizer")
    with pytest.raises(InvalidInputError, match="strict JSON"):
        parse_tokeniser(b'{"normalizer":' + b'{"normalizers":[' * 100_000)


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
METASPACE = {"type": "Metaspace", "replacement": "\U0001f600", "prepend_scheme": "always", "split": True}
PLAIN_CUTS = [{"type": name} for name in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")]
BERT = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": True,
    "lowercase": True,
}
SCRIPTS = ("a", ".", "é", "\u0390", "\u0301", "\ufdfa", "北", "\U0001f600")


def steps(normalizers: list[Document], cuts: list[Document]) -> Document:
    return word_pieces(
        normalizer={"type": "Sequence", "normalizers": normalizers},
        pre_tokenizer={"type": "Sequence", "pretokenizers": cuts},
    )


@pytest.mark.parametrize(
    ("normalizers", "cuts"),
    [
        ([], [BYTE_LEVEL] * 8),
        ([], [BYTE_LEVEL] * 2),
        ([], [METASPACE] * 8),
        ([], [BYTE_LEVEL, METASPACE]),
        ([], [PLAIN_CUTS[0], BYTE_LEVEL, PLAIN_CUTS[0]]),
        ([{"type": "NFKD"}, {"type": "NFKC"}], [BYTE_LEVEL]),
        ([{"type": "NFKD"}, {"type": "NFKD"}], [BYTE_LEVEL]),
        ([BERT] * 8, [BYTE_LEVEL]),
    ],
)
def test_steps_whose_repetition_makes_texts_ever_longer_are_refused(
    normalizers: list[Document], cuts: list[Document]
) -> None:
    refused(steps(normalizers, cuts), "kind of step may stand in a sequence once|a sequence may hold one of")


@pytest.mark.parametrize("forms", [[], ["NFC"], ["NFKC"], ["NFD", "StripAccents"], ["NFKD", "Lowercase"]])
@pytest.mark.parametrize("cuts", [[BYTE_LEVEL, *PLAIN_CUTS], [*PLAIN_CUTS, BYTE_LEVEL], [*PLAIN_CUTS, METASPACE]])
def test_whatever_the_script_what_is_made_of_a_text_is_bounded(forms: list[str], cuts: list[Document]) -> None:
    file = json.dumps(steps([*({"type": form} for form in forms), BERT], cuts)).encode()
    tokenizer = Tokenizer.from_buffer(parse_tokeniser(file).library_file())
    for script in SCRIPTS:
        for text in (script * 1000, f"{script} " * 1000):
            normal = tokenizer.normalizer.normalize_str(text)
            pieces = tokenizer.pre_tokenizer.pre_tokenize_str(normal)
            made = sum(len(piece.encode()) for piece, _ in pieces)
            assert made <= LONGER * len(text.encode()), (script, made)


def test_a_vocabulary_without_end_is_refused() -> None:
    many = {"?": 0, **{f"w{number}": number for number in range(1, 300_001)}}
    refused(word_pieces(model={"vocab": many}), "vocab")
    refused(word_pieces(model={"vocab": {"?": 0, "a" * 257: 1}}), "vocab")
    refused(word_pieces(model={"vocab": {"?": 300_000}}), "vocab")
    with pytest.raises(InvalidInputError, match="bytes"):
        parse_tokeniser(b" " * (MAXIMUM_TOKENISER_BYTES + 1))


def test_words_that_share_a_number_are_refused() -> None:
    refused(word_pieces(model={"vocab": {"?": 0, **{f"w{number}": 0 for number in range(1000)}}}), "same number")


def added(text: str, number: int) -> Document:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": text, **plain}


@pytest.mark.parametrize(
    "changes",
    [
        {"added_tokens": [added("new", 1)]},  # the library makes it 3
        {"added_tokens": [added("new", 9)]},
        {"added_tokens": [added("new", 3), added("other", 3)]},
        {"padding": 3},
        {"post_processor": {"type": "BertProcessing", "sep": ["?", 0], "cls": ["?", 3]}},
    ],
)
def test_tokens_that_the_library_numbers_otherwise_are_refused(changes: Document) -> None:
    file = json.dumps(word_pieces(**changes)).encode()
    tokens = tokens_of(parse_tokeniser(file), file)
    with pytest.raises(InvalidInputError, match="other numbers"):
        open_reader(file, tokens, tokens.form)


def test_an_added_token_with_the_librarys_number_is_taken() -> None:
    file = json.dumps(word_pieces(added_tokens=[added("new", 3)])).encode()
    tokens = tokens_of(parse_tokeniser(file), file)
    assert tokens.vocabulary == 4
    assert open_reader(file, tokens, tokens.form).read([b"a new"]).tolist() == [[1, 3, 0, 0, 0, 0, 0, 0]]


def test_words_too_long_to_be_searched_through_are_refused() -> None:
    refused(word_pieces(model={"max_input_chars_per_word": 101}), "max_input_chars")


def test_what_would_fail_on_an_unknown_word_is_refused() -> None:
    refused(word_pieces(model={"unk_token": "!"}), "unknown word")
    level = {"type": "WordLevel", "unk_token": "!", "vocab": {"a": 0}}
    refused({**word_pieces(), "model": level}, "unknown word")


def test_random_tokens_are_refused() -> None:
    pairs = {
        "type": "BPE",
        "dropout": 0.5,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {"a": 0, "b": 1},
        "merges": [],
    }
    refused({**word_pieces(), "model": pairs}, "dropout")
    certain = {**pairs, "dropout": None}
    parse({**word_pieces(), "model": certain})
    refused({**word_pieces(), "model": {**certain, "merges": [["a", "b"]]}}, "merge")  # there is no token «ab»


def test_a_template_that_adds_without_end_or_names_nothing_is_refused() -> None:
    def template(pieces: list[Document], ids: list[int]) -> Document:
        special = {"X": {"id": "X", "ids": ids, "tokens": ["?"] * len(ids)}}
        return word_pieces(
            post_processor={"type": "TemplateProcessing", "single": pieces, "pair": pieces, "special_tokens": special}
        )

    text, unknown = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "Y", "type_id": 0}}
    known = {"SpecialToken": {"id": "X", "type_id": 0}}
    parse(template([known, text], [0] * 7))
    refused(template([known, text], [0] * 8), "no room")
    refused(template([known, text], [0] * 9), "special_tokens")
    refused(template([unknown, text], [0]), "special token")
    refused(template([known], [0]), "once")
    refused(template([text, text], [0]), "once")
    refused(template([known] * 9, [0]), "single")


def test_a_tokeniser_that_is_not_the_one_of_the_terms_is_not_used() -> None:
    file = json.dumps(word_pieces()).encode()
    tokens = tokens_of(parse_tokeniser(file), file)
    with pytest.raises(InvalidInputError, match="than the terms say"):
        open_reader(file, tokens.model_copy(update={"length": 9}), tokens.form)
    with pytest.raises(InvalidInputError, match="than the terms say"):
        open_reader(file + b" ", tokens, tokens.form)
