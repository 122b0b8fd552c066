"""The parsers of what data sets are made of, each as one call that takes bytes."""

from datasites.catalog.image_decoder import decode
from datasites.catalog.image_messages import DecodedImage
from datasites.catalog.parquet_messages import Decoded
from datasites.catalog.parquet_reader import _Columns
from datasites.catalog.snapshot_layout import SnapshotLayout, parse_layout
from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES
from policies.columns import ImageColumn
from policies.manifest import parse_manifest
from policies.statements.schema import parse_model
from tests.fuzz import seeds, table_seeds
from tests.fuzz.parsers import SMALL, written
from tests.unit_arrays import read_table

IMAGES = parse_manifest(table_seeds.IMAGES.encode())


def try_snapshot(data: bytes) -> None:
    """The first four bytes say how large the file is said to be; the rest is its header."""
    layout = parse_layout(data[4:], int.from_bytes(data[:4], "big"))
    assert layout.unit_type.itemsize * layout.units < 2**32


def seed_snapshot(layout: SnapshotLayout) -> bytes:
    return layout.file_bytes.to_bytes(4, "big") + layout.header()


def try_decoded(data: bytes) -> None:
    parse_model(Decoded, data, maximum_bytes=MAXIMUM_HEADER_BYTES, what="The decoder's message")


def try_decoded_rows(data: bytes) -> None:
    """Three rows: a column of text, a whole and a floating one."""
    columns = _Columns(data, 3, {"t": 0, "w": 1, "f": 2}, {"t": "text", "w": "whole", "f": "floating"})
    texts, places = columns.texts("t")
    assert sum(map(len, texts)) <= len(data)
    assert len(places) == len(columns.texts("w")[1]) == len(columns.numbers("f")[0]) == 3


def try_table(data: bytes) -> None:
    read_table(written(data), seeds.MANIFEST)


def try_arrays(data: bytes) -> None:
    """As the beginning says that it is a file of arrays."""
    read_table(written(table_seeds.ARRAYS[:4] + data[4:]), IMAGES)


def try_image(data: bytes) -> None:
    """What the decoder answers is either an image of the declared size or a fault."""
    assert isinstance(IMAGES.whole_column, ImageColumn)
    answer = decode(data, IMAGES.whole_column)
    message = parse_model(DecodedImage, answer.header, maximum_bytes=SMALL, what="The answer")
    assert len(answer.body) == (2 if message.fault is None else 0)


def try_mock(data: bytes) -> None:
    from researcher.catalog import read_mock

    read_mock(data, seeds.MANIFEST)
