"""P1 of tokenisers: no text makes the library panic, and if one did, that would end nothing and tell nothing.

An added token of whose text the normalizer leaves nothing is looked for everywhere in a text, within a character too.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datasites.training import tokens
from datasites.training.tokens import TextReader
from policies.errors import InvalidInputError
from policies.programs.tokeniser import Tokeniser, parse_tokeniser

Document = dict[str, Any]

FATAL = "dose 5 \N{GREEK SMALL LETTER MU}g".encode()
BERT: Document = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
NORMALIZERS: dict[str, tuple[Document, str]] = {
    "accents off": ({**BERT, "lowercase": True}, "\N{COMBINING ACUTE ACCENT}"),
    "control characters out": ({**BERT, "lowercase": False}, "\x01"),
    "spaces off": ({"type": "Strip", "strip_left": True, "strip_right": True}, " "),
    "one after the other": (
        {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]},
        "\N{COMBINING ACUTE ACCENT}",
    ),
}

LOCKED_DOWN = """
import sys
import torch
from datasites.sandbox.lockdown import lock_down
from tests.attacks.test_p1_tokeniser_panics import FATAL, careless_reader
torch.set_num_threads(1)
reader = careless_reader()
lock_down(4 * 2**30)
print(reader.read([FATAL, b"a b"]).tolist())
sys.stdout.flush()
"""


def document(normalizer: Document, content: str, *, normalized: bool = True) -> Document:
    added = {"id": 3, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "special": False}
    return {
        "version": "cloister-tokeniser/1",
        "length": 4,
        "padding": 2,
        "added_tokens": [{**added, "normalized": normalized}],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "fever": 1, "[PAD]": 2}},
    }


def parsed(normalizer: Document, content: str, *, normalized: bool = True) -> Tokeniser:
    return parse_tokeniser(json.dumps(document(normalizer, content, normalized=normalized)).encode())


def careless_reader(trial: bytes = b"fever") -> TextReader:
    """A reader of a tokeniser on which the library panics, as it would be if nobody refused it."""
    with pytest.MonkeyPatch.context() as without:
        without.setattr(tokens, "refuse_vanishing_tokens", lambda *_: None)
        without.setattr(tokens, "_SCRIPTS", (trial.decode(),))
        return TextReader(parsed(*NORMALIZERS["accents off"]))


@pytest.mark.parametrize("name", NORMALIZERS)
def test_a_token_that_the_normalizer_makes_nothing_of_is_refused(name: str) -> None:
    normalizer, content = NORMALIZERS[name]
    with pytest.raises(InvalidInputError, match="leaves nothing of the text of the added token 3"):
        TextReader(parsed(normalizer, content))
    assert TextReader(parsed(normalizer, content, normalized=False)).read([b"fever"]).tolist() == [[1, 2, 2, 2]]
    assert TextReader(parsed(normalizer, "cough")).read([b"cough"]).tolist() == [[3, 2, 2, 2]]


def test_a_text_on_which_the_library_panics_is_padding_and_ends_nothing() -> None:
    found = careless_reader().read([b"a b", FATAL, b"a b"])
    assert found.tolist() == [[0, 0, 2, 2], [2, 2, 2, 2], [0, 0, 2, 2]]


def test_as_often_is_the_library_called_whatever_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = careless_reader()
    calls: list[bytes] = []
    encoded = reader._encoded

    def counted(text: bytes) -> list[int]:
        calls.append(text)
        return encoded(text)

    monkeypatch.setattr(reader, "_encoded", counted)
    for texts in ([b"fever"] * 3, [FATAL] * 3, [b"", FATAL, b"fever"]):
        calls.clear()
        reader.read(texts)
        assert calls == texts


def test_a_panic_while_a_tokeniser_is_tried_is_a_refusal() -> None:
    with pytest.raises(InvalidInputError, match="does not fit together"):
        careless_reader(trial=FATAL)


def test_no_error_but_the_librarys_own_is_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(_: bytes) -> list[int]:
        raise MemoryError

    reader = careless_reader()
    monkeypatch.setattr(reader, "_encoded", out_of_memory)
    with pytest.raises(MemoryError):
        reader.read([b"fever"])


def test_a_panic_opens_nothing_so_that_the_locked_down_child_outlives_it() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", LOCKED_DOWN],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.strip() == "[[2, 2, 2, 2], [0, 0, 2, 2]]", done.stderr[-2000:]
