"""Programs of one operation each, for every operation of the allow-list, and values that are as hostile as can be."""

import math

import torch
from torch import Tensor

from policies.programs.allow_list import ALLOWED
from policies.programs.format import Input, Node, Option, Output, Program

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
