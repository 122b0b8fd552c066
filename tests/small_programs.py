"""Loss programs of a few nodes, written with names in place of numbers, and units for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from datasites.tensor_programs.frozen_part import find_cut, split_at
from datasites.tensor_programs.node_costs import node_costs
from datasites.training.data import UnitData
from policies.programs.format import Program

Step = tuple[str, str, Sequence[str], dict[str, Any]]
"""A value's name, the operation, its operands' names, and its options."""

SUM = {"dims": (), "keep": False}


def small_program(
    parameters: Mapping[str, tuple[int, ...]],
    features: tuple[tuple[int, ...], str],
    steps: Sequence[Step],
    constants: Mapping[str, tuple[int, ...]] | None = None,
) -> Program:
    """A loss of `features` (their shape and type) and a float32 `target`; the last step is the loss."""
    inputs = [(name, "parameter", parameters[name], "float32") for name in sorted(parameters)]
    inputs += [(name, "constant", shape, "float32") for name, shape in sorted((constants or {}).items())]
    inputs += [("features", "feature", *features), ("target", "target", (), "float32")]
    places = {name: number for number, (name, *_) in enumerate(inputs)}
    nodes = []
    for name, operation, operands, options in steps:
        nodes.append({"op": operation, "args": tuple(places[it] for it in operands), "kwargs": options})
        places[name] = len(places)
    return Program.model_validate(
        {
            "version": "cloister-program/1",
            "inputs": tuple(dict(zip(("name", "kind", "shape", "dtype"), it, strict=True)) for it in inputs),
            "nodes": tuple(nodes),
            "outputs": ({"name": "loss", "ref": len(places) - 1},),
        }
    )


def drawn(program: Program, seed: int = 1) -> dict[str, Tensor]:
    """Values of its parameters and constants, of about the size that networks begin with."""
    generator = torch.Generator().manual_seed(seed)
    inputs = (*program.parameters, *program.constants)
    return {it.name: torch.randn(it.shape, generator=generator) / 3 for it in inputs}


def units_for(program: Program, units: int, records: int = 1, seed: int = 2) -> UnitData:
    """Units with 1 to `records` records; where there is none, there is rubbish. Random nodes have their values."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(records) < torch.randint(1, records + 1, (units, 1), generator=generator)
    record = []
    for entry in program.inputs[len(program.parameters) + len(program.constants) :]:
        shape = (units, records, *entry.shape)
        if entry.dtype == "int64":
            record.append(torch.randint(9, shape, generator=generator))
        else:
            record.append(torch.randn(shape, generator=generator))
            record[-1][~mask] = torch.nan
    for draw in program.draws:
        law = {"normal": torch.randn, "uniform": torch.rand}[draw.op]
        record.append(law((units, records, *draw.shape), generator=generator))
    return UnitData(tuple(record), mask)


PERCEPTRON = small_program(
    {"a": (16, 6), "b": (16,), "c": (1, 16), "d": (1,)},
    ((6,), "float32"),
    [
        ("x", "linear", ["features", "a", "b"], {}),
        ("y", "tanh", ["x"], {}),
        ("z", "linear", ["y", "c", "d"], {}),
        ("z0", "select", ["z"], {"dim": 0, "index": 0}),
        ("loss", "mse_loss", ["z0", "target"], {"reduction": "mean"}),
    ],
)
"""Two linear layers on columns."""

POSITIONS = small_program(
    {"a": (80, 64), "b": (80,), "down": (80, 4), "gain": (64,), "up": (64, 4)},
    ((5, 64), "float32"),
    [
        ("n", "layer_norm", ["features", "gain"], {"shape": (64,), "epsilon": 1e-5}),
        ("x", "linear", ["n", "a", "b"], {}),
        ("y", "gelu", ["x"], {"approximate": "none"}),
        ("z", "matmul", ["y", "down"], {}),
        ("t", "permute", ["up"], {"dims": (1, 0)}),
        ("w", "matmul", ["z", "t"], {}),
        ("v", "add", ["w", "n"], {}),
        ("s", "sum", ["v"], SUM),
        ("loss", "mse_loss", ["s", "target"], {"reduction": "mean"}),
    ],
)
"""Layers at five positions: a wide one that is factored, narrow ones, transposed weights, and a norm's gain."""

IMAGES = small_program(
    {"a": (4, 1, 3, 3), "b": (4,), "c": (80, 4, 3, 3), "d": (8, 40, 1, 1), "gain": (4,), "head": (1, 8)},
    ((1, 8, 8), "float32"),
    [
        ("i", "reshape", ["features"], {"shape": (1, 1, 8, 8)}),
        ("x", "conv2d", ["i", "a", "b"], {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
        ("n", "group_norm", ["x", "gain"], {"groups": 2, "epsilon": 1e-5}),
        ("m", "max_pool2d", ["n"], {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)}),
        ("y", "conv2d", ["m", "c"], {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
        ("r", "silu", ["y"], {}),
        ("z", "conv2d", ["r", "d"], {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 2}),
        ("p", "mean", ["z"], {"dims": (0, 2, 3), "keep": False}),
        ("h", "linear", ["p", "head"], {}),
        ("s", "sum", ["h"], SUM),
        ("loss", "mse_loss", ["s", "target"], {"reduction": "mean"}),
    ],
)
"""Convolutions: with a bias, one that is factored, one in groups."""

LOOK_UPS = small_program(
    {"table": (6, 4), "weight": (1, 4)},
    ((7,), "int64"),
    [
        ("e", "embedding", ["table", "features"], {}),
        ("x", "tanh", ["e"], {}),
        ("m", "mean", ["x"], {"dims": (0,), "keep": False}),
        ("y", "linear", ["m", "weight"], {}),
        ("s", "sum", ["y"], SUM),
        ("loss", "mse_loss", ["s", "target"], {"reduction": "mean"}),
    ],
)
"""A table of six rows, of which each record looks up seven: some row twice, some beyond the end."""

TIED = small_program(
    {"table": (9, 4), "shift": (4,)},
    ((3,), "int64"),
    [
        ("e", "embedding", ["table", "features"], {}),
        ("x", "add", ["e", "shift"], {}),
        ("y", "linear", ["x", "table"], {}),
        ("z", "log_softmax", ["y"], {"dim": 1}),
        ("m", "amax", ["z"], SUM),
        ("loss", "mse_loss", ["m", "target"], {"reduction": "mean"}),
    ],
)
"""One table at the entrance and at the exit."""

DROPOUT = small_program(
    {"a": (16, 6), "b": (16,), "c": (1, 16)},
    ((6,), "float32"),
    [
        ("x", "linear", ["features", "a", "b"], {}),
        ("u", "uniform", [], {"shape": (16,)}),
        ("g", "normal", [], {"shape": (16,)}),
        ("noised", "add", ["x", "g"], {}),
        ("v", "uniform", [], {"shape": (16,)}),
        ("kept", "lt", ["u", "v"], {}),
        ("mask", "to", ["kept"], {"dtype": "float32"}),
        ("y", "mul", ["noised", "mask"], {}),
        ("z", "linear", ["y", "c"], {}),
        ("s", "sum", ["z"], SUM),
        ("loss", "mse_loss", ["s", "target"], {"reduction": "mean"}),
    ],
)
"""Two linear layers; what is between them is noised, and half of it dropped."""


def _behind_the_body() -> Program:
    whole = small_program(
        {"a": (8, 4), "b": (8,), "c": (1, 8)},
        ((20,), "float32"),
        [
            ("i", "linear", ["features", "one"], {}),
            ("x", "tanh", ["i"], {}),
            ("j", "linear", ["features", "two"], {}),
            ("skip", "sigmoid", ["j"], {}),
            ("y", "linear", ["x", "a", "b"], {}),
            ("z", "mul", ["y", "skip"], {}),
            ("h", "linear", ["z", "c"], {}),
            ("s", "sum", ["h"], SUM),
            ("loss", "mse_loss", ["s", "target"], {"reduction": "mean"}),
        ],
        {"one": (4, 20), "two": (8, 20)},
    )
    costs = node_costs(whole)
    cut = find_cut(whole, costs)
    assert cut is not None
    return split_at(whole, cut, costs)[1]


BEHIND_A_BODY = _behind_the_body()
"""What is left of a program behind its frozen prefix: three values of a record in place of features and target."""

PROGRAMS = {
    "perceptron": PERCEPTRON,
    "positions": POSITIONS,
    "images": IMAGES,
    "look-ups": LOOK_UPS,
    "tied": TIED,
    "dropout": DROPOUT,
    "behind a body": BEHIND_A_BODY,
}
