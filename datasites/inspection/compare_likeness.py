"""Whether rows of the outputs repeat records of a private table, or lists its columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datasites.inspection.content import Content
from datasites.inspection.likeness_search import likest, presence
from datasites.inspection.survey import Survey
from datasites.inspection.vocabulary import Vocabulary
from policies.disclosure.cells import Cell, plain
from policies.disclosure.content_findings import CopiedColumn, RecordRows
from policies.disclosure.finding_parts import as_label
from policies.disclosure.findings import Finding
from policies.disclosure.likeness import FEWEST_CELLS, Ids, could_be_record, information, is_copy, record_rows, spread
from policies.disclosure.rules import DisclosureRules
from policies.disclosure.sequences import possible_columns, possible_records

_MOST_ROWS = 20_000
_MOST_LISTS = 2_000
_MOST_CANDIDATES = 1024
_MOST_COUNTERS = 2**24


@dataclass(frozen=True)
class _Index:
    """The vocabulary while it grows, up to `most` values."""

    most: int
    places: dict[float | str, int] = field(default_factory=dict)

    def ids(self, cells: Sequence[Cell]) -> Ids:
        """The places of the different values among the cells; beyond `most`, none."""
        values = {value for cell in cells if (value := plain(cell)) is not None}
        if len(self.places) + len(values) > self.most:
            values &= self.places.keys()
        return np.array(sorted(self.places.setdefault(value, len(self.places)) for value in values), np.int64)


@dataclass(frozen=True)
class _Sequences:
    """An output's rows and lists, as places in the vocabulary."""

    output: str
    rows: list[Ids]
    lists: list[tuple[str, Ids]]


def compare_likeness(survey: Survey, contents: Sequence[Content], rules: DisclosureRules) -> Iterator[Finding]:
    """Compare all outputs with one private table, which is read once or twice.

    Of an output with very many rows an even choice is compared, and of very many values the first ones; such an output
    is held for its size alone.

    Raises:
        InvalidInputError: the table cannot be read to its end.
    """
    width = len(survey.spreads)
    if not width or not survey.records:
        return
    index = _Index(max(1, _MOST_COUNTERS // width))
    sequences = [_sequences(content, width, rules.minimum_group, index) for content in contents]
    vocabulary = Vocabulary(list(index.places))
    if not vocabulary.size:
        return
    anywhere, by_column = presence(survey, vocabulary)
    bits = information(anywhere, survey.records)
    chances = {name: _chances(survey, vocabulary, name) for name in by_column}
    for it in sequences:
        yield from _copies(it, by_column, chances, rules)
    yield from _repeats(survey, vocabulary, sequences, bits)


def _repeats(
    survey: Survey, vocabulary: Vocabulary, sequences: list[_Sequences], bits: NDArray[np.float64]
) -> Iterator[RecordRows]:
    candidates: list[Ids] = []
    spans: list[tuple[_Sequences, slice]] = []
    for it in sequences:
        likely = [row for row in it.rows if could_be_record(row, bits, survey.records)]
        likely = spread(sorted(likely, key=lambda row: -float(bits[row].sum())), _MOST_CANDIDATES)
        spans.append((it, slice(len(candidates), len(candidates) + len(likely))))
        candidates.extend(likely)
    if not candidates:
        return
    best, cells = likest(survey, vocabulary, candidates, bits)
    for it, span in spans:
        repeated = record_rows(best[span], min(len(it.rows), _MOST_CANDIDATES), survey.records)
        if repeated:
            yield RecordRows(output=it.output, rows=repeated, cells=int(cells[span].max()))


def _copies(
    sequences: _Sequences,
    by_column: dict[str, NDArray[np.uint32]],
    chances: dict[str, NDArray[np.float64]],
    rules: DisclosureRules,
) -> Iterator[CopiedColumn]:
    for name, values in sequences.lists:
        for column, counts in by_column.items():
            if is_copy(counts[values].astype(np.int64), chances[column][values], rules.minimum_group):
                yield CopiedColumn(
                    output=sequences.output,
                    column=as_label(name),
                    private_column=as_label(column),
                    values=int((counts[values] > 0).sum()),
                    minimum=rules.minimum_group,
                )
                return


def _chances(survey: Survey, vocabulary: Vocabulary, column: str) -> NDArray[np.float64]:
    """How likely a number would stand in the column by chance; for words, which do not, as little as one record."""
    chances = np.full(vocabulary.size, 1 / (survey.records + 1))
    numbers = ~np.isnan(vocabulary.values)
    chances[numbers] = survey.spreads[column].chances(vocabulary.values[numbers], vocabulary.tolerances[numbers])
    return chances


def _sequences(content: Content, width: int, shortest: int, index: _Index) -> _Sequences:
    records = (row for table in content.tables for row in possible_records(table, width))
    rows = [row for row in records if len(row) >= FEWEST_CELLS]
    lists = [pair for table in content.tables for pair in possible_columns(table, shortest)]
    chosen = spread(rows, _MOST_ROWS)
    return _Sequences(
        content.output,
        [row for cells in chosen if (row := index.ids(cells)).size],
        [(name, values) for name, cells in spread(lists, _MOST_LISTS) if (values := index.ids(cells)).size >= shortest],
    )
