"""Texts of a table as the bytes that a snapshot keeps."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policies.columns import TextColumn


def text_values(column: TextColumn, texts: Sequence[str]) -> NDArray[np.uint8]:
    """(texts, maximum_bytes): each text in UTF-8, padded with zeros; all zeros where `text_fault` finds one."""
    values = np.zeros((len(texts), column.maximum_bytes), np.uint8)
    for place, text in enumerate(texts):
        if text_fault(column, text) is None:
            encoded = text.encode()
            values[place, : len(encoded)] = np.frombuffer(encoded, np.uint8)
    return values


def text_fault(column: TextColumn, text: str) -> str | None:
    """Why the column cannot hold this text, if it cannot."""
    if not text.strip():
        return "is empty"
    if "\0" in text:
        return "holds a character NUL, by which a text is padded; take it out"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "holds half a character, which UTF-8 cannot express; mend it"
    if size > column.maximum_bytes:
        return f"takes more than the declared {column.maximum_bytes} bytes in UTF-8"
    return None
