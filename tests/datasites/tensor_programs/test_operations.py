"""Every operation of the allow-list is total: no value of a record makes it, or its gradient, raise or change shape."""

import math
import warnings

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.bounds import check_bounds
from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.operations import OPERATIONS
from policies.programs.allow_list import ALLOWED
from policies.programs.format import RANDOM, Input, Node, Option, Output, Program

WIDTH = 6
HOSTILE = torch.tensor(
    [
        [0.0, -0.0, 1.0, -1.0, 0.5, 2.0],
        [math.nan] * WIDTH,
        [math.inf, -math.inf, math.nan, 3.4e38, -3.4e38, 1e-45],
        [1e-40, -1e-40, 1e-20, 1e20, 7.5, -7.5],
        [2.0**31, -(2.0**31), 2.0**63, -(2.0**63), 1e30, -1e30],
    ]
)
TARGETS = torch.tensor([0, -1, 2**62, -(2**62), 999_999])
SAMPLE_OPTIONS: dict[str, Option] = {
    "alpha": 0.5, "approximate": "tanh", "beta": 0.5, "classes": 3, "correction": 1, "count": 6, "delta": 0.5, "dim": 1,
    "dims": (1,), "dtype": "int64", "end": 5, "epsilon": 1e-5, "exponent": -2.5, "groups": 2, "index": 2, "keep": True,
    "label_smoothing": 0.1, "log_target": True, "maximum": 1.0, "minimum": -1.0, "reduction": "mean", "slope": 0.1,
    "start": 1, "step": 2, "threshold": 20.0, "value": 1.5,
}  # fmt: skip
SPECIAL: dict[str, dict[str, Option]] = {
    "avg_pool2d": {"kernel": (2, 2), "stride": (1, 2), "padding": (1, 1), "count_padding": False},
    "conv2d": {"stride": (1, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 1},
    "expand": {"shape": (4, 1, WIDTH)},
    "full": {"shape": (1, WIDTH), "value": 1.5, "dtype": "float32"},
    "layer_norm": {"shape": (WIDTH,), "epsilon": 1e-5},
    "max_pool2d": {"kernel": (2, 2), "stride": (2, 1), "padding": (1, 1), "dilation": (1, 2)},
    "normal": {"shape": (1, WIDTH)},
    "permute": {"dims": (1, 0)},
    "reshape": {"shape": (2, 3)},
    "uniform": {"shape": (1, WIDTH)},
}
# Which values an operation is tried on: the hostile row [1, 6] as "x" or "image", the hostile index [1] as "i".
OPERANDS: dict[str, list[str]] = {
    "arange": [],
    "avg_pool2d": ["image"],
    "binary_cross_entropy_with_logits": ["x", "x"],
    "conv2d": ["image", "filters", "two"],
    "cross_entropy": ["x", "i"],
    "embedding": ["table", "xi"],
    "full": [],
    "gather": ["x", "xi"],
    "group_norm": ["x"],
    "layer_norm": ["x", "row", "row"],
    "linear": ["x", "table", "seven"],
    "logical_and": ["x", "x"],
    "logical_not": ["x"],
    "logical_or": ["x", "x"],
    "logical_xor": ["x", "x"],
    "matmul": ["x", "square"],
    "max_pool2d": ["image"],
    "nll_loss": ["x", "i"],
    "normal": [],
    "one_hot": ["xi"],
    "prelu": ["x", "one"],
    "uniform": [],
    "where": ["b", "x", "w"],
}


def program_for(name: str) -> Program:
    """A program that applies one operation to a record's hostile values, and sums what comes out."""
    inputs = [
        Input(name="filters", kind="parameter", shape=(2, 1, 2, 2), dtype="float32"),
        Input(name="one", kind="parameter", shape=(1,), dtype="float32"),
        Input(name="row", kind="parameter", shape=(WIDTH,), dtype="float32"),
        Input(name="seven", kind="parameter", shape=(7,), dtype="float32"),
        Input(name="square", kind="parameter", shape=(WIDTH, WIDTH), dtype="float32"),
        Input(name="table", kind="parameter", shape=(7, WIDTH), dtype="float32"),
        Input(name="two", kind="parameter", shape=(2,), dtype="float32"),
        Input(name="w", kind="parameter", shape=(1, WIDTH), dtype="float32"),
        Input(name="feature", kind="feature", shape=(WIDTH,), dtype="float32"),
        Input(name="target", kind="target", shape=(), dtype="int64"),
    ]
    known = {entry.name: number for number, entry in enumerate(inputs)}
    nodes: list[Node] = []

    def emit(op: str, *args: int, **kwargs: Option) -> int:
        nodes.append(Node(op=op, args=args, kwargs=kwargs))
        return len(inputs) + len(nodes) - 1

    raw = emit("reshape", known["feature"], shape=(1, WIDTH))
    known["x"] = emit("mul", raw, known["w"])
    known["i"] = emit("reshape", known["target"], shape=(1,))
    known["xi"] = emit("to", raw, dtype="int64")
    known["b"] = emit("to", raw, dtype="bool")
    known["image"] = emit("reshape", known["x"], shape=(1, 1, 2, 3))
    allowed = ALLOWED[name]
    options = SPECIAL.get(name) or {option: SAMPLE_OPTIONS[option] for option in allowed.options}
    operands = OPERANDS.get(name, ["x", "w", "x"][: allowed.fewest])
    result = emit(name, *[known[operand] for operand in operands], **options)
    total = emit("sum", emit("to", result, dtype="float32"), dims=(), keep=False)
    both = emit("add", total, emit("sum", known["x"], dims=(), keep=False))
    return Program(
        version="cloister-program/1", inputs=tuple(inputs), nodes=tuple(nodes), outputs=(Output(name="loss", ref=both),)
    )


def parameters_of(program: Program) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {entry.name: torch.randn(entry.shape, generator=generator) for entry in program.parameters}


def drawn(program: Program, *leading: int) -> list[Tensor]:
    """Values for the program's random nodes."""
    return [torch.rand((*leading, *draw.shape)) for draw in program.draws]


def test_the_interpreter_knows_exactly_the_allow_list() -> None:
    assert OPERATIONS.keys() | RANDOM == ALLOWED.keys()
    assert not OPERATIONS.keys() & RANDOM


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_hostile_values_never_raise_in_value_or_gradient(name: str) -> None:
    program = program_for(name)
    check_bounds(program, kind="loss")
    run = interpret(program)
    parameters = parameters_of(program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = (HOSTILE, TARGETS, *drawn(program, len(TARGETS)))
        values = vmap(lambda *record: run(parameters, *record)[0])(*record)
        gradients = vmap(grad(lambda p, record: run(p, *record)[0]), in_dims=(None, 0))(parameters, record)
    assert values.shape == (len(TARGETS),)
    assert {key: value.shape[1:] for key, value in gradients.items()} == {k: v.shape for k, v in parameters.items()}


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_a_records_result_does_not_depend_on_the_others(name: str) -> None:
    program = program_for(name)
    run, parameters = interpret(program), parameters_of(program)
    features, targets = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(2)), torch.arange(5)
    random = drawn(program, 5)
    together = vmap(lambda *record: run(parameters, *record)[0])(features, targets, *random)
    features[1:], targets[1:] = HOSTILE[:4], TARGETS[:4]
    among_hostile = vmap(lambda *record: run(parameters, *record)[0])(features, targets, *random)
    assert torch.equal(together[:1], among_hostile[:1]) or bool(
        torch.isnan(together[0]) & torch.isnan(among_hostile[0])
    )


def test_indices_out_of_range_mean_the_nearest_one() -> None:
    scores = torch.tensor([[0.1, 0.2, 3.0]])
    for operation, options in (("cross_entropy", {"label_smoothing": 0.0}), ("nll_loss", {})):
        got = OPERATIONS[operation](scores, torch.tensor([99]), reduction="mean", **options)
        assert got == OPERATIONS[operation](scores, torch.tensor([2]), reduction="mean", **options)
    assert torch.equal(OPERATIONS["one_hot"](torch.tensor([-5, 1, 7]), classes=3), torch.eye(3, dtype=torch.int64))


def test_probabilities_outside_the_unit_interval_do_not_raise_and_inside_mean_what_torch_means() -> None:
    target = torch.tensor([0.0, 1.0, 0.3])
    inside = torch.tensor([0.0, 0.25, 1.0])
    expected = torch.nn.functional.binary_cross_entropy(inside, target)
    torch.testing.assert_close(OPERATIONS["binary_cross_entropy"](inside, target, reduction="mean"), expected)
    outside = OPERATIONS["binary_cross_entropy"](torch.tensor([2.0, -1.0, math.nan]), target, reduction="none")
    assert outside.shape == (3,)


def test_no_operation_writes_to_its_operands() -> None:
    for name in ALLOWED:
        program = program_for(name)
        parameters = parameters_of(program)
        before = {key: value.clone() for key, value in parameters.items()}
        feature = HOSTILE[0].clone()
        interpret(program)(parameters, feature, TARGETS[0], *drawn(program))
        assert torch.equal(feature, HOSTILE[0]), name
        assert all(torch.equal(parameters[key], before[key]) for key in before), name
