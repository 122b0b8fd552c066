"""What was read of one output, whatever its format: tables, texts, tensors, and how much it holds."""

from collections.abc import Iterator
from dataclasses import dataclass

from policies.disclosure.cells import Table
from policies.disclosure.findings import Finding
from policies.disclosure.identity import cell_texts
from policies.disclosure.volume import CHARACTERS_A_VALUE

MOST_CELLS = 200_000
MOST_TEXT_BYTES = 8 * 1024 * 1024


class LimitsError(Exception):
    """Reading an output on would go beyond the inspection's limits."""


@dataclass(frozen=True)
class Content:
    """One output that was read.

    `tables` may show the same cells in several ways; `values` counts them once. `texts` are all strings beside the
    tables' cells: names of fields, metadata, or the whole of a plain text. `tensor_numbers` counts those of tensors,
    of which `tables` may hold a part.
    """

    output: str
    tables: tuple[Table, ...] = ()
    texts: tuple[str, ...] = ()
    values: int = 0
    tensor_numbers: int = 0
    found: tuple[Finding, ...] = ()

    def all_texts(self) -> Iterator[str]:
        """Everything in the output as text, its name too."""
        yield self.output.replace("/", " ").replace(".", " ")
        yield self.output
        yield from self.texts
        for table in self.tables:
            yield from table.columns
            for row in table.rows:
                yield from cell_texts(row)


def at_least(values: int, size: int) -> int:
    """`values`, or more if the file has far more bytes than so many need: spaces and gaps could carry something too."""
    return max(values, size // (4 * CHARACTERS_A_VALUE))
