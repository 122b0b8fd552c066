"""The format and the allow-list: a good program passes, and each single deviation is refused, naming its place."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import InvalidInputError
from policies.programs.allow_list import ALLOWED
from policies.programs.check import check_nodes, check_pair, check_program
from policies.programs.format import MAXIMUM_PROGRAM_BYTES, Program, parse_program
from policies.statements.canonical import canonical_bytes


def linear() -> dict[str, Any]:
    """A linear model with squared error, as plain JSON."""
    return {
        "version": "cloister-program/1",
        "inputs": [
            {"name": "bias", "kind": "parameter", "shape": [1], "dtype": "float32"},
            {"name": "weight", "kind": "parameter", "shape": [1, 4], "dtype": "float32"},
            {"name": "scale", "kind": "constant", "shape": [4], "dtype": "float32"},
            {"name": "feature", "kind": "feature", "shape": [4], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": "float32"},
        ],
        "nodes": [
            {"op": "mul", "args": [3, 2], "kwargs": {}},
            {"op": "linear", "args": [5, 1, 0], "kwargs": {}},
            {"op": "reshape", "args": [6], "kwargs": {"shape": []}},
            {"op": "mse_loss", "args": [7, 4], "kwargs": {"reduction": "mean"}},
        ],
        "outputs": [{"name": "loss", "ref": 8}],
    }


def parsed(value: dict[str, Any]) -> Program:
    return parse_program(canonical_bytes(value))


def changed(path: list[str | int], value: Any) -> dict[str, Any]:
    program = linear()
    place: Any = program
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return program


def test_a_good_program_passes_and_keeps_its_bytes_and_digest() -> None:
    program = parsed(linear())
    check_program(program, kind="loss")
    assert program.canonical() == canonical_bytes(linear())
    assert parsed(linear()).digest() == program.digest()
    assert program.parameter_count == 5
    assert [entry.name for entry in program.parameters] == ["bias", "weight"]
    assert (program.feature.shape, program.target.dtype) == ((4,), "float32")


def test_loss_and_metrics_must_take_the_same_inputs() -> None:
    metrics = changed(["outputs"], [{"name": "error", "ref": 8}])
    check_pair(parsed(linear()), parsed(metrics))
    metrics["inputs"][2]["shape"] = [1]
    with pytest.raises(InvalidInputError, match="different inputs"):
        check_pair(parsed(linear()), parsed(metrics))


MALFORMED: list[tuple[list[str | int], Any]] = [
    (["version"], "cloister-program/2"),
    (["extra"], 1),
    (["inputs", 0, "name"], "weight"),
    (["inputs", 0, "name"], "__import__('os')"),
    (["inputs", 0, "name"], "a..b"),
    (["inputs", 0, "name"], "zz"),
    (["inputs", 0, "kind"], "buffer"),
    (["inputs", 0, "kind"], "feature"),
    (["inputs", 0, "shape"], [0]),
    (["inputs", 0, "shape"], [-1]),
    (["inputs", 0, "shape"], [10**12]),
    (["inputs", 0, "dtype"], "float64"),
    (["inputs", 3, "kind"], "constant"),
    (["inputs", 4, "kind"], "feature"),
    (["inputs"], []),
    (["nodes"], []),
    (["nodes", 0, "op"], "Mul"),
    (["nodes", 0, "args"], [3, -1]),
    (["nodes", 0, "args"], [3, 2.5]),
    (["nodes", 0, "args"], [3, True]),
    (["nodes", 0, "args"], [3, [2]]),
    (["nodes", 0, "kwargs"], {"__class__": 1}),
    (["nodes", 0, "kwargs"], {"dims": [[1]]}),
    (["nodes", 0, "kwargs"], {"dims": {"a": 1}}),
    (["outputs"], []),
    (["outputs"], [{"name": "loss", "ref": 8}, {"name": "loss", "ref": 8}]),
    (["outputs", 0, "ref"], -1),
]


@pytest.mark.parametrize(("path", "value"), MALFORMED)
def test_what_is_not_of_the_format_is_not_parsed(path: list[str | int], value: Any) -> None:
    with pytest.raises(InvalidInputError, match="tensor program is not valid"):
        parsed(changed(path, value))


FORBIDDEN: list[tuple[list[str | int], Any, str]] = [
    (["nodes", 1, "op"], "from_file", r"Node 1 \(from_file\).*not an allowed operation"),
    (["nodes", 0, "args"], [3], "takes from 2 to 2"),
    (["nodes", 1, "args"], [5, 1, 0, 0], "takes from 2 to 3"),
    (["nodes", 1, "args"], [6, 1, 0], r"Node 1 \(linear\).*backwards"),
    (["nodes", 1, "args"], [9, 1, 0], "backwards"),
    (["nodes", 3, "kwargs"], {}, "exactly these options: reduction"),
    (["nodes", 3, "kwargs"], {"reduction": "mean", "weight": 1}, "exactly these options"),
    (["nodes", 0, "kwargs"], {"out": 3}, "exactly these options: none"),
    (["nodes", 3, "kwargs"], {"reduction": "batchmean"}, "one of none, mean, sum"),
    (["nodes", 3, "kwargs"], {"reduction": None}, "wrong option 'reduction'"),
    (["nodes", 2, "kwargs"], {"shape": [-1]}, "wrong option 'shape'"),
    (["nodes", 2, "kwargs"], {"shape": [50_000, 50_000]}, "elements"),
    (["nodes", 2, "kwargs"], {"shape": True}, "wrong option 'shape'"),
    (["outputs", 0, "ref"], 9, "no node computes"),
    (["outputs", 0, "name"], "error", "exactly one, named 'loss'"),
    (["inputs", 1, "dtype"], "int64", "trained ones must be float32"),
    (["inputs", 1, "shape"], [7_000, 8_000], "at most 50000000"),
    (["inputs", 2, "shape"], [7_000, 8_000], "at most 50000000"),
    (["inputs", 3, "shape"], [2, 2, 2, 2, 2], "at most 4 dimensions"),
    (["inputs", 3, "shape"], [1001, 1000], "1000000 elements"),
    (["inputs", 3, "dtype"], "bool", "features must be"),
    (["inputs", 4, "shape"], [1, 1], "at most 1 dimensions"),
    (["inputs", 4, "dtype"], "bool", "target must be"),
]


@pytest.mark.parametrize(("path", "value", "text"), FORBIDDEN)
def test_what_is_not_allowed_is_refused_naming_its_place(path: list[str | int], value: Any, text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        check_program(parsed(changed(path, value)), kind="loss")


def test_a_program_larger_than_the_limit_is_not_even_parsed() -> None:
    with pytest.raises(InvalidInputError, match="at most"):
        parse_program(b"[" * (MAXIMUM_PROGRAM_BYTES + 1))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-Infinity"])
def test_numbers_that_are_not_finite_are_refused(number: str) -> None:
    program = changed(["nodes", 2], {"op": "clamp", "args": [6], "kwargs": {"maximum": 123456, "minimum": None}})
    with pytest.raises(InvalidInputError):
        parse_program(canonical_bytes(program).replace(b"123456", number.encode()))


def test_numbers_beyond_float32_are_refused() -> None:
    program = changed(["nodes", 2], {"op": "clamp", "args": [6], "kwargs": {"maximum": 1e300, "minimum": None}})
    with pytest.raises(InvalidInputError, match="finite number or null"):
        check_program(parsed(program), kind="loss")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
places = st.sampled_from(
    [[part] for part in linear()]
    + [["inputs", 1, field] for field in ("name", "kind", "shape", "dtype")]
    + [["nodes", number, field] for number in range(4) for field in ("op", "args", "kwargs")]
    + [["nodes", 2, "kwargs", "shape"], ["nodes", 3, "kwargs", "reduction"], ["outputs", 0, "ref"]]
)


@settings(max_examples=300, deadline=None)
@given(places, json_values)
def test_any_change_is_refused_or_leaves_an_allowed_program(path: list[str | int], value: Any) -> None:
    data = json.dumps(changed(path, value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "replace"
    )
    try:
        program = parse_program(data)
        check_program(program, kind="loss")
    except InvalidInputError:
        return
    assert all(node.op in ALLOWED for node in program.nodes)
    assert all(ref < len(program.inputs) + number for number, node in enumerate(program.nodes) for ref in node.args)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_fail_otherwise(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_program(data)


def test_every_operations_options_refuse_what_is_no_option_at_all() -> None:
    for name, operation in ALLOWED.items():
        for option, rule in operation.options.items():
            for wrong in ("'; import os", (True,), float("nan"), float("inf"), (1,) * 9, -1e39):
                assert not rule.accepts(wrong), (name, option, wrong)


def test_checking_is_quick_for_the_largest_program() -> None:
    program = parsed(linear())
    many = program.model_copy(update={"nodes": program.nodes * 5_000})
    with pytest.raises(InvalidInputError, match="no node computes"):
        check_nodes(many.model_copy(update={"outputs": (program.outputs[0].model_copy(update={"ref": 20_010}),)}))


def test_the_rules_need_no_torch() -> None:
    code = "import policies.programs.check, policies.programs.parameters, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
