"""Bounds are found without allocating, and a program that passes them raises on no data whatever."""

import time
import warnings
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.bounds import check_bounds
from datasites.tensor_programs.interpret import interpret
from policies.errors import InvalidInputError
from policies.programs.allow_list import ALLOWED
from policies.programs.format import Input, Node, Output, Program

HOSTILE = torch.tensor([[0.0, 1e38, -1.0], [float("nan")] * 3, [float("inf"), -float("inf"), 1e-45], [-7.5, 0.5, 2.0]])
TARGETS = torch.tensor([0, -1, 2**62, 3])
INPUTS = (
    Input(name="bias", kind="parameter", shape=(3,), dtype="float32"),
    Input(name="weight", kind="parameter", shape=(3, 3), dtype="float32"),
    Input(name="feature", kind="feature", shape=(3,), dtype="float32"),
    Input(name="target", kind="target", shape=(), dtype="int64"),
)
VALUES: dict[str, Any] = {
    "alpha": [1, 0.5],
    "approximate": ["none", "tanh"],
    "beta": [1],
    "classes": [1, 3],
    "correction": [0, 1],
    "count": [1, 3],
    "count_padding": [True, False],
    "delta": [1],
    "dilation": [(1, 1), (2, 1)],
    "dim": [0, 1, 2],
    "dims": [(), (0,), (1,), (0, 1), (1, 0)],
    "dtype": ["float32", "int64", "bool"],
    "end": [0, 2, 3],
    "epsilon": [1e-5],
    "exponent": [2, -1, 0.5, 0],
    "groups": [1, 3],
    "index": [0, 2, 3],
    "keep": [True, False],
    "kernel": [(1, 1), (2, 3)],
    "label_smoothing": [0, 0.1],
    "log_target": [True, False],
    "maximum": [None, 1],
    "minimum": [None, -1],
    "padding": [(0, 0), (1, 1)],
    "reduction": ["none", "mean", "sum"],
    "shape": [(), (1,), (3,), (1, 3), (3, 1), (3, 3), (1, 1, 3, 3), (1, 3, 3, 1)],
    "slope": [0.1],
    "start": [0, 1],
    "step": [1, 2],
    "stride": [(1, 1), (3, 2)],
    "threshold": [20],
    "value": [0, 1, -2.5, 1e30],
}


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Random nodes over the allow-list, most of which fit nothing; then a sum of the last value."""
    nodes: list[Node] = []
    for _ in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(sorted(ALLOWED)))
        operation = ALLOWED[name]
        count = draw(st.integers(operation.fewest, min(operation.most, 3)))
        known = len(INPUTS) + len(nodes)
        arguments = tuple(draw(st.integers(0, known - 1)) for _ in range(count))
        numbers = {**VALUES, **({"minimum": [-1], "maximum": [1]} if name == "hardtanh" else {})}
        options = {option: draw(st.sampled_from(numbers[option])) for option in operation.options}
        nodes.append(Node(op=name, args=arguments, kwargs=options))
    last = len(INPUTS) + len(nodes) - 1
    nodes.append(Node(op="to", args=(last,), kwargs={"dtype": "float32"}))
    nodes.append(Node(op="sum", args=(last + 1,), kwargs={"dims": (), "keep": False}))
    return Program(
        version="cloister-program/1", inputs=INPUTS, nodes=tuple(nodes), outputs=(Output(name="loss", ref=last + 2),)
    )


def program(*nodes: Node, ref: int | None = None, feature: int = 3) -> Program:
    inputs = (*INPUTS[:2], INPUTS[2].model_copy(update={"shape": (feature,)}), INPUTS[3])
    last = len(INPUTS) + len(nodes) - 1 if ref is None else ref
    return Program(version="cloister-program/1", inputs=inputs, nodes=nodes, outputs=(Output(name="loss", ref=last),))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_what_passes_the_bounds_raises_on_no_data(candidate: Program) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check_bounds(candidate, kind="loss")
        except InvalidInputError:
            return
        parameters = {"bias": torch.tensor([1.0, -2.0, 0.0]), "weight": torch.eye(3)}
        run = interpret(candidate)

        def loss(values: dict[str, Tensor], record: list[Tensor]) -> Tensor:
            return run(values, *record)[0]

        record = [HOSTILE, TARGETS, *[torch.rand((len(TARGETS), *draw.shape)) for draw in candidate.draws]]
        gradients = vmap(grad(loss), in_dims=(None, 0))(parameters, record)
    assert gradients["weight"].shape == (4, 3, 3)


def test_a_value_of_gigabytes_is_refused_without_being_made() -> None:
    wide = Node(op="full", args=(), kwargs={"shape": (40_000_000,), "value": 1, "dtype": "int64"})
    doubled = [Node(op="add", args=(4 + number, 4 + number), kwargs={}) for number in range(20)]
    total = Node(op="sum", args=(24,), kwargs={"dims": (), "keep": False})
    started = time.monotonic()
    with pytest.raises(InvalidInputError, match="smaller model"):
        check_bounds(program(wide, *doubled, total), kind="loss")
    assert time.monotonic() - started < 5


def test_too_many_operations_are_refused() -> None:
    tall = Node(op="full", args=(), kwargs={"shape": (3000, 3000), "value": 1, "dtype": "float32"})
    product = Node(op="matmul", args=(4, 4), kwargs={})
    total = Node(op="sum", args=(5,), kwargs={"dims": (), "keep": False})
    with pytest.raises(InvalidInputError, match="operations"):
        check_bounds(program(tall, product, total), kind="loss")


def test_an_expansion_beyond_memory_is_refused() -> None:
    nodes = [Node(op="expand", args=(0,), kwargs={"shape": (10_000_000, 3)})]
    nodes += [Node(op="exp", args=(4 + number,), kwargs={}) for number in range(30)]
    with pytest.raises(InvalidInputError, match="smaller model"):
        check_bounds(program(*nodes, Node(op="sum", args=(34,), kwargs={"dims": (), "keep": False})), kind="loss")


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (Node(op="linear", args=(2, 1, 2), kwargs={}), "shape"),
        (Node(op="matmul", args=(2, 3), kwargs={}), "does not fit"),
        (Node(op="select", args=(2,), kwargs={"dim": 0, "index": 3}), "does not fit"),
        (Node(op="argmax", args=(2,), kwargs={"dim": 0, "keep": False}), "float32 number"),
        (Node(op="reshape", args=(2,), kwargs={"shape": (2, 2)}), "does not fit"),
        (Node(op="slice", args=(2,), kwargs={"dim": 9 - 2, "start": 0, "end": 1, "step": 1}), "does not fit"),
    ],
)
def test_what_does_not_fit_together_is_refused(node: Node, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        check_bounds(program(node), kind="loss")


def test_what_is_drawn_counts_as_memory_and_a_metrics_program_may_not_draw() -> None:
    drawn = [Node(op="uniform", args=(), kwargs={"shape": (1_000_000,)})]
    drawn.append(Node(op="sum", args=(4,), kwargs={"dims": (), "keep": False}))
    assert check_bounds(program(*drawn), kind="loss").bytes >= 4_000_000
    with pytest.raises(InvalidInputError, match="draws random numbers"):
        check_bounds(program(*drawn), kind="metrics")


def test_the_cost_grows_with_the_model() -> None:
    def cost(feature: int) -> int:
        body = [
            Node(op="full", args=(), kwargs={"shape": (feature, feature), "value": 1, "dtype": "float32"}),
            Node(op="matmul", args=(2, 4), kwargs={}),
            Node(op="sum", args=(5,), kwargs={"dims": (), "keep": False}),
        ]
        return check_bounds(program(*body, feature=feature), kind="loss").operations

    assert cost(200) > 50 * cost(20)
