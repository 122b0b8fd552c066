"""Read a JSON output: all leaves are counted, and whatever can be seen as a table is."""

import json
from collections.abc import Iterator
from typing import Any

from datasites.inspection.content import MOST_CELLS, MOST_TEXT_BYTES, Content, LimitsError, at_least
from policies.disclosure.cells import INDEX, VALUE, Cell, Table
from policies.disclosure.volume import CHARACTERS_A_VALUE, cell_values
from policies.errors import InvalidInputError

_MOST_DEPTH = 64


def read_json(output: str, data: bytes) -> Content:
    """Read one JSON document, or one a line.

    Raises:
        LimitsError: it is too large, too deep, has too many leaves, or a number of more digits than it could need.
        InvalidInputError: it is no JSON.
    """
    if len(data) > MOST_TEXT_BYTES:
        raise LimitsError
    try:
        text = data.decode()
        document = _parse(text)
    except RecursionError as error:
        raise LimitsError from error
    except ValueError as error:
        raise InvalidInputError("The output is no JSON.") from error
    leaves, names = _walk(document)
    cells = [cell for cell in leaves if cell is not None]
    values = sum(map(cell_values, cells)) + sum(map(cell_values, set(names)))
    texts = (*names, *(cell for cell in cells if isinstance(cell, str)))
    rest = Table(output, (), (tuple(cells),)) if len(cells) > 2 else Table(output, (), ())
    tables = (*_tables(output, document), rest)
    return Content(output, tables, texts, at_least(values, len(data)))


def _parse(text: str) -> Any:
    try:
        return _load(text)
    except json.JSONDecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        return [_load(line) for line in lines]


def _load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_distinct, parse_float=_float)


def _float(digits: str) -> float:
    if len(digits) > CHARACTERS_A_VALUE:
        raise LimitsError  # what was read would not show what the rest of them say
    return float(digits)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise json.JSONDecodeError("a name stands there twice, and a reader would see one of them", "", 0)
    return result


def _walk(document: Any) -> tuple[list[Cell], list[str]]:
    """All leaves in their order, and the names of all fields."""
    leaves: list[Cell] = []
    names: list[str] = []
    pending: list[tuple[Any, int]] = [(document, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > _MOST_DEPTH or len(leaves) + len(names) > MOST_CELLS:
            raise LimitsError
        if isinstance(item, dict):
            names.extend(item)
            pending.extend((value, depth + 1) for value in reversed(item.values()))
        elif isinstance(item, list):
            pending.extend((value, depth + 1) for value in reversed(item))
        else:
            leaves.append(item)
    return leaves, names


def _tables(output: str, document: Any) -> Iterator[Table]:
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from _of_object(output, item)
            pending.extend(item.values())
        elif isinstance(item, list):
            yield from _of_list(output, item)
            pending.extend(value for value in item if isinstance(value, dict | list))


def _of_object(output: str, item: dict[str, Any]) -> Iterator[Table]:
    """A record, an index with one column, columns as lists, or a table by columns or by rows, as pandas writes them."""
    names, values = tuple(item), list(item.values())
    if not values:
        return
    if all(_is_leaf(value) for value in values):
        yield Table(output, names, (tuple(values),))
        yield Table(output, (INDEX, VALUE), tuple(item.items()))
    elif names == ("columns", "index", "data") and isinstance(item["data"], list):
        columns = tuple(str(name) for name in item["columns"]) if isinstance(item["columns"], list) else ()
        yield from _named(output, columns, item["data"])
    elif _all_flat(values) and len({len(value) for value in values}) == 1:
        yield Table(output, names, tuple(zip(*values, strict=True)))
    elif any(isinstance(value, dict) for value in values):
        yield from _of_objects(output, {name: value for name, value in item.items() if isinstance(value, dict)})


def _of_objects(output: str, item: dict[str, dict[str, Any]]) -> Iterator[Table]:
    flat = {name: value for name, value in item.items() if all(_is_leaf(cell) for cell in value.values())}
    fields = tuple(dict.fromkeys(field for value in flat.values() for field in value))
    if not fields or len(fields) * len(flat) > 2 * MOST_CELLS:
        return
    yield Table(output, (INDEX, *fields), tuple((name, *map(value.get, fields)) for name, value in flat.items()))
    yield Table(
        output, (INDEX, *flat), tuple((field, *(value.get(field) for value in flat.values())) for field in fields)
    )


def _of_list(output: str, item: list[Any]) -> Iterator[Table]:
    objects = [value for value in item if isinstance(value, dict)]
    if objects:
        fields = tuple(dict.fromkeys(field for value in objects for field in value))
        if len(fields) * len(objects) > 2 * MOST_CELLS:
            raise LimitsError
        rows = (tuple(cell if _is_leaf(cell := value.get(field)) else None for field in fields) for value in objects)
        yield Table(output, fields, tuple(rows))
    elif item and all(_is_leaf(value) for value in item):
        yield Table(output, ("",), tuple((value,) for value in item))
    elif len(item) > 1 and _all_flat(item):
        widths = {len(value) for value in item}
        columns = ("",) * widths.pop() if len(widths) == 1 else ()
        yield Table(output, columns, tuple(tuple(row) for row in item))


def _named(output: str, columns: tuple[str, ...], rows: list[Any]) -> Iterator[Table]:
    if _all_flat(rows) and all(len(row) == len(columns) for row in rows):
        yield Table(output, columns, tuple(tuple(row) for row in rows))


def _all_flat(values: list[Any]) -> bool:
    return all(isinstance(value, list) and all(_is_leaf(cell) for cell in value) for value in values)


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
