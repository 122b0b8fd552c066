"""The ways in which a record or a column may lie in a table: as a row, a column, or one after the other in a line."""

from collections.abc import Iterator, Sequence

from policies.disclosure.cells import Cell, Table

_FEW_COLUMNS = 2


def possible_records(table: Table, width: int) -> Iterator[Sequence[Cell]]:
    """Sequences of cells in which a private record would be seen.

    Rows, the header, and of a low table its columns; what is much longer than a record is cut into windows that overlap
    so far that each record in it lies whole in one, and a narrow table is read as one line too.

    Args:
        width: how many columns the private table has.
    """
    longest = 2 * width + 2
    if table.columns:
        yield from _windows(table.columns, width, longest)
    for row in table.rows:
        yield from _windows(row, width, longest)
    if table.columns and len(table.rows) <= longest:
        for place in range(len(table.columns)):
            yield table.column(place)
    if max(map(len, table.rows), default=0) <= _FEW_COLUMNS:
        yield from _windows([cell for row in table.rows for cell in row], width, longest)


def possible_columns(table: Table, shortest: int) -> Iterator[tuple[str, Sequence[Cell]]]:
    """Sequences of at least `shortest` cells that may be a private column, with a name to show."""
    places = len(table.columns) or min(64, max(map(len, table.rows), default=0))
    if len(table.rows) >= shortest:
        for place in range(places):
            name = table.columns[place] if table.columns else ""
            yield name, [row[place] for row in table.rows if place < len(row)]
    for row in table.rows:
        if len(row) >= shortest:
            yield "", row


def _windows(cells: Sequence[Cell], width: int, longest: int) -> Iterator[Sequence[Cell]]:
    if len(cells) <= longest:
        yield cells
        return
    step = max(1, width // 2)
    for first in range(0, len(cells) - width + step, step):
        yield cells[first : first + width + step]
