"""P1 through what travels beside a program: weights of another shape, constants beyond memory, headers that lie."""

import json
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from datasites.tensor_programs.load import load_parameters
from policies.errors import InvalidInputError
from policies.programs.check import check_program
from policies.programs.format import Program, parse_program
from policies.statements.canonical import canonical_bytes
from tests.attacks.crafted_study import SQUARE, document

PROGRAM = Program.model_validate_json(canonical_bytes(document(SQUARE)))


def with_constants(*shapes: list[int]) -> bytes:
    """The program with constants of these shapes, as they travel."""
    crafted = document([(op, [ref if ref == 0 else ref + len(shapes) for ref in args], it) for op, args, it in SQUARE])
    constants = [
        {"name": f"table{place}", "kind": "constant", "shape": shape, "dtype": "float32"}
        for place, shape in enumerate(shapes)
    ]
    crafted["inputs"][1:1] = constants
    crafted["outputs"][0]["ref"] += len(shapes)
    return canonical_bytes(crafted)


def test_a_constant_within_the_limit_is_accepted() -> None:
    check_program(parse_program(with_constants([3, 4])), kind="loss")


@pytest.mark.parametrize(
    "shapes", [([10**9],), ([1000, 1000, 1000],), ([30_000, 1000], [21_000, 1000]), ([10**6],) * 51]
)
def test_a_constant_of_a_thousand_million_numbers_is_refused_by_its_shape(shapes: tuple[list[int], ...]) -> None:
    """At once or in parts, before a byte of it is read."""
    with pytest.raises(InvalidInputError):
        check_program(parse_program(with_constants(*shapes)), kind="loss")


@pytest.mark.parametrize(
    "weights",
    [
        np.zeros((3, 1), np.float32),
        np.zeros(3, np.float32),
        np.zeros((1, 4), np.float32),
        np.zeros((1, 3), np.float64),
        np.zeros((1, 3), np.float16),
        np.zeros((1, 3), np.int32),
        np.zeros((1, 3), np.int64),
        np.zeros((0, 3), np.float32),
        np.zeros((1, 1, 3), np.float32),
    ],
)
def test_weights_of_another_shape_or_type_are_refused_even_where_their_bytes_would_fit(weights: Any) -> None:
    with pytest.raises(InvalidInputError, match="'weight' in the parameter file must be float32 of shape"):
        load_parameters(safetensors.numpy.save({"weight": weights}), PROGRAM, maximum_bytes=1_000)


def framed(header: bytes, length: int | None = None, data: bytes = bytes(12)) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


ENTRY = '{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]}'


@pytest.mark.parametrize(
    "data",
    [
        framed(b"{}", 2**40),
        framed(b"{}", 2**63 - 1),
        framed(b'{"weight":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        framed(b'{"weight":' * 100_000),
        framed(f'{{"weight":{ENTRY},"weight":{ENTRY}}}'.encode(), data=bytes(24)),
        framed(f'{{"weight":{ENTRY},"\ud800":{ENTRY}}}'.encode("utf-8", "surrogatepass")),
        framed(f'{{"weight":{ENTRY}}}'.encode() + b"\xff\xfe"),
        framed(f'{{"weight":{ENTRY.replace("[1,3]", "[1,3,9223372036854775807]")}}}'.encode()),
        framed(f'{{"weight":{ENTRY.replace("F32", "__reduce__")}}}'.encode()),
        framed(f'{{"weight":{ENTRY.replace("[0,12]", "[0,18446744073709551615]")}}}'.encode()),
        framed(json.dumps({f"w{number}": json.loads(ENTRY) for number in range(50_000)}).encode()),
        framed(f'{{"__metadata__":{{"format":"pt","x":"{"a" * 10**6}"}},"weight":{ENTRY}}}'.encode())[:-1],
    ],
    ids=range(12),
)
def test_a_header_that_lies_or_swells_is_refused_at_once_and_without_the_memory_it_asks_for(data: bytes) -> None:
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(InvalidInputError):
            load_parameters(data, PROGRAM, maximum_bytes=2**26)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 10
