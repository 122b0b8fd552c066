"""The smallest tokeniser that sites take, as the document that tests change or spoil."""

from typing import Any

Document = dict[str, Any]


def word_pieces(**changes: Any) -> Document:
    """Pieces of words made of the letter a; `changes` replace fields, or merge into the model."""
    document: Document = {
        "version": "cloister-tokeniser/1",
        "length": 8,
        "padding": 0,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "?",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"?": 0, "a": 1, "##a": 2},
        },
    }
    model = changes.pop("model", {})
    return {**document, **changes, "model": {**document["model"], **model}}
