"""Identifiers: which private columns name people or records, and the words of an output that could be such names."""

import re
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from policies.disclosure.cells import Cell, plain_text
from policies.disclosure.content_findings import Identifiers
from policies.disclosure.finding_parts import as_label

_SHORTEST_NAME = 4
_SHORTEST_NUMBER = 6
_FEWEST_RECORDS = 10
_DISTINCT = 0.95
_WORD = re.compile(r"[^\s,;:|\"'`()\[\]{}<>=]+")
_PIECE = re.compile(r"[^\W_]+")
_WORDS_A_NAME = 3
_MOST_WORDS = 500_000


def identifying(values: NDArray[np.object_]) -> bool:
    """Whether a column's values, by the looks of these many, name single records: nearly all differ, none a fraction.

    Args:
        values: canonical cells [records], floats or text, None where empty.
    """
    filled = [value for value in values if value is not None]
    if len(filled) < _FEWEST_RECORDS or len(set(filled)) < _DISTINCT * len(filled):
        return False
    return all(could_be_name(value) for value in filled[:1000])


def could_be_name(value: float | str) -> bool:
    """Whether a value is long enough that its like does not stand in an output by chance."""
    if isinstance(value, str):
        return len(value) >= _SHORTEST_NAME
    return value == int(value) and abs(value) >= 10 ** (_SHORTEST_NUMBER - 1)


def possible_names(texts: Iterable[str]) -> set[float | str]:
    """All canonical words, pieces of words, and up to three words in a row, that could be an identifier.

    Of an output with very many only the first: it is held for its size alone.
    """
    names: set[float | str] = set()
    for text in texts:
        for name in _names(text):
            if len(names) == _MOST_WORDS:
                return names
            if could_be_name(name):
                names.add(name)
    return names


def _names(text: str) -> Iterator[float | str]:
    words = _WORD.findall(text)
    for place, word in enumerate(words):
        yield from _canonical(word)
        yield from _canonical(word.strip(".,!?-"))
        for piece in _PIECE.findall(word):
            yield from _canonical(piece)
        for length in range(2, _WORDS_A_NAME + 1):
            yield from _canonical(" ".join(words[place : place + length]))


def _canonical(text: str) -> Iterator[float | str]:
    value = plain_text(text)
    if value is not None:
        yield value


def cell_texts(cells: Iterable[Cell]) -> Iterator[str]:
    """The cells as text, in which words are looked for."""
    for cell in cells:
        if isinstance(cell, str):
            yield cell
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            yield repr(cell)


def check_identifiers(output: str, column: str, found: int) -> list[Identifiers]:
    """No value of the identifying private `column` stands in the output."""
    return [Identifiers(output=output, private_column=as_label(column), found=found)] if found else []
