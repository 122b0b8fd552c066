"""P1 of Unigram tokenisers: no vocabulary that is taken makes the library fail, panic or run on, whatever the text."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.training.tokens import TextReader
from policies.errors import InvalidInputError
from policies.programs.tokeniser import Tokeniser, parse_tokeniser
from tests.word_pieces import Document, word_pieces

PIECES = [["?", 0.0], ["▁", -2.0], ["▁fever", -3.0], ["fe", -4.0], ["v", -4.0], ["er", -5.0]]
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


def document(vocabulary: list[Any] = PIECES, **changes: Any) -> Document:
    model = {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": False}
    steps = {name: changes.pop(name) for name in ("normalizer", "added_tokens") if name in changes}
    return {**word_pieces(), "pre_tokenizer": METASPACE, **steps, "model": {**model, **changes}}


def parsed(vocabulary: list[Any] = PIECES, **changes: Any) -> Tokeniser:
    return parse_tokeniser(json.dumps(document(vocabulary, **changes)).encode())


def test_the_best_way_to_cut_a_word_is_taken() -> None:
    reader = TextReader(parsed())
    assert reader.read([b"fever fe verx"]).tolist() == [[2, 1, 3, 1, 4, 5, 0, 0]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vocabulary": []}, "vocab"),
        ({"vocabulary": [["", 0.0]]}, "vocab"),
        ({"vocabulary": [["?", 0.0], ["a" * 33, 0.0]]}, "vocab"),
        ({"vocabulary": [["?", 0.0], ["a", 1e7]]}, "vocab"),
        ({"vocabulary": [["?", 0.0], ["a", "0"]]}, "vocab"),
        ({"vocabulary": [["?", 0.0], ["a", 0.0], ["a", 1.0]]}, "same text"),
        ({"vocabulary": [[f"w{number}", 0.0] for number in range(300_001)]}, "vocab"),
        ({"unk_id": 6}, "unk_id is not in the vocabulary"),
        ({"unk_id": -1}, "unk_id"),
        ({"unk_id": None}, "unk_id"),
        ({"byte_fallback": None}, "byte_fallback"),
        ({"alpha": 0.1}, "alpha"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "normalizer"),
    ],
)
def test_what_the_library_would_fail_on_or_nobody_can_check_is_refused(changes: Document, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        parsed(**changes)


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_scores_are_finite(score: str) -> None:
    file = json.dumps(document([["?", 0.0], ["a", 12345]])).replace("12345", score)
    with pytest.raises(InvalidInputError):
        parse_tokeniser(file.encode())


def test_an_unknown_character_is_bytes_or_the_unknown_token() -> None:
    spelled = [[f"<0x{byte:02X}>", -9.0] for byte in range(256)]
    assert TextReader(parsed([*PIECES, *spelled], byte_fallback=True)).read(["é".encode()]).tolist() == [
        [1, 6 + 0xC3, 6 + 0xA9, 0, 0, 0, 0, 0]
    ]
    assert TextReader(parsed([*PIECES, *spelled[:10]], byte_fallback=True)).read(["é".encode()]).tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0]
    ]


LETTERS = st.text(st.sampled_from("ab▁. é北\u0301\ufdfa\U0001f600\0<0x>EF9"), min_size=1, max_size=6)
SCORES = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1e6, -1e6, 5e-324])
NORMALIZERS = st.sampled_from([None, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"}])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_vocabulary_that_is_taken_makes_the_library_fail(data: st.DataObject) -> None:
    """Nested pieces, scores at their bounds, bytes spelled or not, added tokens within pieces."""
    pieces = data.draw(st.lists(LETTERS, min_size=1, max_size=12, unique=True))
    vocabulary = [[piece, data.draw(SCORES)] for piece in pieces]
    if data.draw(st.booleans()):
        spelled = [f"<0x{byte:02X}>" for byte in (0x61, 0xC3, 0xA9)]
        vocabulary += [[piece, data.draw(SCORES)] for piece in spelled if piece not in pieces]
    plain = {name: data.draw(st.booleans()) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
    added = [{"id": len(vocabulary), "content": data.draw(LETTERS.filter(lambda it: it not in pieces)), **plain}]
    try:
        reader = TextReader(
            parsed(
                vocabulary,
                unk_id=data.draw(st.integers(0, len(vocabulary) - 1)),
                byte_fallback=data.draw(st.booleans()),
                normalizer=data.draw(NORMALIZERS),
                added_tokens=added if data.draw(st.booleans()) else [],
            )
        )
    except InvalidInputError:
        return  # an added token of which the normalizer leaves nothing, or that the library numbers otherwise
    for text in data.draw(st.lists(LETTERS, min_size=1, max_size=4)):
        found = reader._encoded((text * 20).encode())  # not `read`, which would hide a failure
        assert len(found) == 8


LOCKED_DOWN = """
import sys
import torch
from datasites.sandbox.lockdown import lock_down
from datasites.training.tokens import TextReader
from tests.attacks.test_p1_unigram import parsed
torch.set_num_threads(1)
lock_down(4 * 2**30)
print(TextReader(parsed()).read([b"fever"]).tolist())
sys.stdout.flush()
"""


def test_the_locked_down_child_reads_with_it() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", LOCKED_DOWN],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.strip() == "[[2, 0, 0, 0, 0, 0, 0, 0]]", done.stderr[-2000:]
