"""Attacks on P1 through files: programs and parameters whose bytes are not what they seem."""

import numpy as np
import pytest
import safetensors.numpy

from datasites.tensor_programs.load import load_parameters
from policies.errors import InvalidInputError
from policies.programs.check import check_program
from policies.programs.format import Input, Node, Output, Program, parse_program

PROGRAM = Program(
    version="cloister-program/1",
    inputs=(
        Input(name="weight", kind="parameter", shape=(4,), dtype="float32"),
        Input(name="feature", kind="feature", shape=(4,), dtype="float32"),
        Input(name="target", kind="target", shape=(), dtype="int64"),
    ),
    nodes=(
        Node(op="mul", args=(0, 1), kwargs={}),
        Node(op="sum", args=(3,), kwargs={"dims": (), "keep": False}),
    ),
    outputs=(Output(name="loss", ref=4),),
)


def test_two_spellings_of_one_program_do_not_both_parse() -> None:
    data = PROGRAM.canonical()
    for other in (
        data.replace(b":", b": ", 1),
        data.replace(b'{"inputs"', b'{ "inputs"'),
        data[:-1] + b',"version":"cloister-program/1"}',
        data + b"\n",
        b"\xef\xbb\xbf" + data,
        data.replace(b'"keep":false', b'"keep":0'),
    ):
        with pytest.raises(InvalidInputError):
            check_program(parse_program(other), kind="loss")


@pytest.mark.parametrize(
    "bomb", [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 900_000, b'"\\ud800"', b"\x80\x04K\x01.", b""]
)
def test_hostile_json_is_refused_as_input(bomb: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_program(bomb)


def test_a_parameter_file_cannot_smuggle_tensors_or_another_format() -> None:
    good = {"weight": np.ones(4, dtype=np.float32)}
    assert load_parameters(safetensors.numpy.save(good), PROGRAM, maximum_bytes=1_000)["weight"].sum() == 4
    pickled = b"\x80\x04cposix\nsystem\n(S'touch /tmp/owned'\ntR."
    for data in (
        safetensors.numpy.save({**good, "feature": np.ones(4, dtype=np.float32)}),
        safetensors.numpy.save({"weight": np.full(4, np.nan, dtype=np.float32)}),
        safetensors.numpy.save(good) + b"tail",
        safetensors.numpy.save(good)[:-1],
        (2**63).to_bytes(8, "little") + b"{}",
        pickled,
        b"PK\x03\x04" + bytes(64),
    ):
        with pytest.raises(InvalidInputError):
            load_parameters(data, PROGRAM, maximum_bytes=1_000)
