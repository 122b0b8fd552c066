"""Mock data: rows of the manifest's shape, drawn from the manifest alone, for researchers to write code against."""

import csv
import io
from base64 import b64encode
from math import prod

import numpy as np

from policies.columns import Column, ImageColumn, IntegerColumn, NamedColumn, PlainColumn, TextColumn
from policies.manifest import Manifest

MAXIMUM_MOCK_ROWS = 100_000
_EMPTY_SHARE = 0.1
_LONGEST_TEXT = 200
_IMAGE_BYTES = 2**21
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz      ", np.uint8)


def draw_mock(manifest: Manifest, rows: int = 200) -> bytes:
    """Draw `rows` records as CSV, each value uniform within its bounds or categories, texts of random letters.

    A function of the public manifest and nothing else: whoever has the manifest can draw the same bytes (with the same
    NumPy), which shows that no private record had a part in them. Units are called mock-0001, mock-0002 … and have 1 to
    `maximum_records` records.

    Raises:
        ValueError: rows is not within 1 to 100 000.
    """
    if not 1 <= rows <= MAXIMUM_MOCK_ROWS:
        raise ValueError(f"mock data has 1 to {MAXIMUM_MOCK_ROWS} rows, {rows} were asked for")
    if isinstance(manifest.whole_column, ImageColumn):
        rows = max(1, min(rows, _IMAGE_BYTES // prod(manifest.feature_shape)))
    generator = np.random.default_rng(int(manifest.digest(), 16))
    records = generator.integers(1, manifest.privacy_unit.maximum_records, size=rows, endpoint=True)
    units = np.repeat(np.arange(1, rows + 1), records)[:rows]
    columns = [_draw_cells(column, rows, generator) for column in manifest.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([manifest.privacy_unit.column, *(column.name for column in manifest.columns)])
    writer.writerows(zip((f"mock-{unit:04}" for unit in units), *columns, strict=True))
    return text.getvalue().encode()


def _draw_cells(column: Column, rows: int, generator: np.random.Generator) -> list[str]:
    cells = _draw(column, rows, generator)
    if isinstance(column, PlainColumn) and column.missing is not None:
        empty = generator.random(rows) < _EMPTY_SHARE
        return ["" if here else cell for cell, here in zip(cells, empty, strict=True)]
    return cells


def _draw(column: Column, rows: int, generator: np.random.Generator) -> list[str]:
    if isinstance(column, NamedColumn):
        return [column.labels[place] for place in generator.integers(len(column.labels), size=rows)]
    if isinstance(column, ImageColumn):
        pixels = generator.integers(256, size=(rows, prod(column.shape)), dtype=np.uint8)
        return [b64encode(image.tobytes()).decode() for image in pixels]
    if isinstance(column, TextColumn):
        longest = min(column.maximum_bytes, _LONGEST_TEXT)
        return [_words(generator, size) for size in generator.integers(1, longest, size=rows, endpoint=True)]
    if isinstance(column, IntegerColumn):
        return [str(value) for value in generator.integers(column.minimum, column.maximum, size=rows, endpoint=True)]
    values = generator.uniform(column.minimum, column.maximum, size=rows)
    return [repr(min(max(float(f"{value:.6g}"), column.minimum), column.maximum)) for value in values]


def _words(generator: np.random.Generator, size: int) -> str:
    """`size` letters and spaces, a letter first and last."""
    letters = generator.choice(_LETTERS, size)
    letters[[0, -1]] = generator.choice(_LETTERS[:26], 2)
    return letters.tobytes().decode()
