"""Parameter files: exactly the program's tensors, or a refusal; and the flat order is by name."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save

from datasites.tensor_programs.load import flatten, load_parameters, save_parameters, unflatten
from policies.errors import InvalidInputError
from policies.programs.format import Input, Node, Output, Program
from policies.programs.parameters import read_parameters

PROGRAM = Program(
    version="cloister-program/1",
    inputs=(
        Input(name="10.w", kind="parameter", shape=(2, 3), dtype="float32"),
        Input(name="9.b", kind="parameter", shape=(), dtype="float32"),
        Input(name="mask", kind="constant", shape=(3,), dtype="bool"),
        Input(name="steps", kind="constant", shape=(1,), dtype="int64"),
        Input(name="feature", kind="feature", shape=(3,), dtype="float32"),
        Input(name="target", kind="target", shape=(), dtype="float32"),
    ),
    nodes=(Node(op="mul", args=(1, 5), kwargs={}),),
    outputs=(Output(name="loss", ref=6),),
)


def arrays() -> dict[str, NDArray[np.generic]]:
    return {
        "10.w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "9.b": np.array(7, dtype=np.float32),
        "mask": np.array([True, False, True]),
        "steps": np.array([2**40]),
    }


def read(data: bytes) -> dict[str, NDArray[np.generic]]:
    return read_parameters(data, PROGRAM, maximum_bytes=10_000)


def test_a_file_is_read_as_it_was_written() -> None:
    values = load_parameters(save(arrays()), PROGRAM, maximum_bytes=10_000)
    assert {name: value.shape for name, value in values.items()} == {
        "10.w": (2, 3), "9.b": (), "mask": (3,), "steps": (1,),
    }  # fmt: skip
    again = read(save_parameters(values, PROGRAM))
    for name, array in arrays().items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype


def test_the_flat_order_is_by_name_as_text_and_back() -> None:
    values = load_parameters(save(arrays()), PROGRAM, maximum_bytes=10_000)
    flat = flatten(values, PROGRAM)
    assert flat.tolist() == [0, 1, 2, 3, 4, 5, 7]
    back = unflatten(flat, PROGRAM)
    assert back.keys() == {"10.w", "9.b"}
    assert torch.equal(back["10.w"], values["10.w"])
    for wrong in (flat[:-1], flat.double(), flat.reshape(1, -1)):
        with pytest.raises(InvalidInputError, match="7 float32 parameters"):
            unflatten(wrong, PROGRAM)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"9.b": None}, "lacks 1"),
        ({"other": np.zeros(1, np.float32)}, "has 1 others"),
        ({"9.b": np.zeros(1, np.float32)}, "of shape"),
        ({"9.b": np.array(7, dtype=np.float64)}, "must be float32"),
        ({"9.b": np.array(np.nan, dtype=np.float32)}, "not finite"),
        ({"10.w": np.full((2, 3), np.inf, dtype=np.float32)}, "not finite"),
        ({"10.w": np.zeros((3, 2), dtype=np.float32)}, "of shape"),
        ({"mask": np.zeros(3, dtype=np.uint8)}, "must be bool"),
        ({"steps": np.zeros(1, dtype=np.int32)}, "must be int64"),
    ],
)
def test_anything_else_is_refused(change: dict[str, NDArray[np.generic] | None], text: str) -> None:
    changed = {name: value for name, value in {**arrays(), **change}.items() if value is not None}
    with pytest.raises(InvalidInputError, match=text):
        read(save(changed))


def test_booleans_of_other_bytes_are_refused() -> None:
    data = save(arrays())
    length = int.from_bytes(data[:8], "little")
    start, _ = json.loads(data[8 : 8 + length])["mask"]["data_offsets"]
    position = 8 + length + start
    with pytest.raises(InvalidInputError, match="0 and 1"):
        read(data[:position] + b"\2" + data[position + 1 :])


def test_a_file_above_the_limit_is_not_parsed() -> None:
    with pytest.raises(InvalidInputError, match="at most 10 are"):
        read_parameters(save(arrays()), PROGRAM, maximum_bytes=10)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read_in_full(data: st.DataObject) -> None:
    whole = bytearray(save(arrays()))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    try:
        values = read(cut)
    except InvalidInputError:
        return
    assert {name: (value.shape, value.dtype) for name, value in values.items()} == {
        name: (value.shape, value.dtype) for name, value in arrays().items()
    }
