"""How much the outputs hold: values against records, numbers in tensors against cells, and runs of encoded text."""

import math
import re
from collections.abc import Iterable

from policies.disclosure.cells import Cell, Table
from policies.disclosure.content_findings import LargeTensors, OpaqueText, TooManyValues
from policies.disclosure.rules import DisclosureRules

CHARACTERS_A_VALUE = 24
"""As many as a float64 takes in decimals: longer text counts as several values."""

_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_RUNS = re.compile(r"\S+")
_LINES = frozenset("-=_*#.~+|─━═│┃┌┐└┘├┤┬┴┼█▏▎▍▌▋▊▉")  # rulers and progress bars


def cell_values(cell: Cell) -> int:
    """How many values one cell counts as: 0 if empty, 1 if short, more for long text or a long number."""
    if cell is None or cell == "":
        return 0
    if isinstance(cell, int):
        return 1 + cell.bit_length() // (4 * CHARACTERS_A_VALUE)
    return math.ceil(len(cell) / CHARACTERS_A_VALUE) if isinstance(cell, str) else 1


def table_values(table: Table) -> int:
    """The values of all cells and names of columns."""
    return sum(map(cell_values, table.columns)) + sum(cell_values(cell) for row in table.rows for cell in row)


def text_values(text: str) -> int:
    """The values of plain text: its numbers, or its length, whichever is more."""
    return max(sum(1 for _ in _NUMBERS.finditer(text)), math.ceil(len(text) / CHARACTERS_A_VALUE))


def check_values(values: int, records: int, rules: DisclosureRules) -> list[TooManyValues]:
    """All outputs together, tensors apart, hold fewer values than would carry one for each record.

    Args:
        records: how many records the private data has, 0 if that is not known: then only `maximum_values` binds.
    """
    most = rules.maximum_values
    if records:
        most = min(most, math.ceil(rules.values_per_record * records) - 1)
    return [TooManyValues(values=values, records=records, most=most)] if values > most else []


def check_tensors(numbers: int, cells: int, rules: DisclosureRules) -> list[LargeTensors]:
    """All tensors together hold fewer numbers than the allowed share of the private data's cells."""
    if numbers <= rules.tensor_share * cells:
        return []
    return [LargeTensors(numbers=numbers, cells=cells, most=rules.tensor_share)]


def check_runs(output: str, texts: Iterable[str], rules: DisclosureRules) -> list[OpaqueText]:
    """No run of characters without a space is longer than `longest_word`; rulers of one character are none."""
    longest = 0
    for text in texts:
        for run in _RUNS.finditer(text):
            length = run.end() - run.start()
            if length > max(longest, rules.longest_word) and not set(run.group()) <= _LINES:
                longest = length
    return [OpaqueText(output=output, longest=longest, most=rules.longest_word)] if longest else []
