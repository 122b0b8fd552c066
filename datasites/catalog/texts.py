"""Texts of a table as the bytes that a snapshot keeps."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from policies.columns import TextColumn


def text_values(column: TextColumn, texts: Sequence[str]) -> tuple[NDArray[np.uint8], Mapping[int, str]]:
    """(texts, maximum_bytes): each text in UTF-8, padded with zeros; and where a text cannot be kept, why not."""
    values, faults = np.zeros((len(texts), column.maximum_bytes), np.uint8), {}
    for place, text in enumerate(texts):
        fault = _fault(column, text)
        if fault is not None:
            faults[place] = fault
            continue
        encoded = text.encode()
        values[place, : len(encoded)] = np.frombuffer(encoded, np.uint8)
    return values, faults


def _fault(column: TextColumn, text: str) -> str | None:
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
