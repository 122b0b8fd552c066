"""The allow-list: every operation a tensor program may use, how many operands it takes and what its options may be.

An operation is on the list only if it is *total*: whatever a record holds, it neither raises, nor reads memory that was
not written, nor has a shape or (denormals aside) a running time that depends on values. Where the library's own
operation is not total (an index out of range, a probability above one), the interpreter's is: indices are clamped.
Options have no defaults: each is spelled out, so that one program has one spelling.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

from policies.programs.format import MAXIMUM_ELEMENTS, Option

_MAXIMUM_RANK = 8
_LARGEST_NUMBER = 3.4028234663852886e38  # of float32
_LARGEST_WINDOW = 256
_MOST_GROUPS = 65_536


@dataclass(frozen=True)
class Rule:
    """What one option may be: in words for people, and as a test."""

    expected: str
    accepts: Callable[[Option], bool]


@dataclass(frozen=True)
class Operation:
    """How many operands an operation takes, and its options, all of which a node must give."""

    fewest: int
    most: int
    options: Mapping[str, Rule] = field(default_factory=dict)


def _is_integer(value: Option, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Option, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_shape(value: Option) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) <= _MAXIMUM_RANK
        and all(_is_integer(size, 1, MAXIMUM_ELEMENTS) for size in value)
        and prod(value) <= MAXIMUM_ELEMENTS
    )


def _is_dims(value: Option) -> bool:
    return (
        isinstance(value, tuple)
        and len(set(value)) == len(value) <= _MAXIMUM_RANK
        and all(_is_integer(dim, 0, _MAXIMUM_RANK - 1) for dim in value)
    )


def _is_pair(value: Option, least: int) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(_is_integer(x, least, _LARGEST_WINDOW) for x in value)


def _integer(least: int, most: int) -> Rule:
    return Rule(f"a whole number from {least} to {most}", lambda value: _is_integer(value, least, most))


def _number(least: float, most: float) -> Rule:
    return Rule(f"a number from {least:g} to {most:g}", lambda value: _is_number(value, least, most))


def _choice(*words: str) -> Rule:
    return Rule("one of " + ", ".join(words), lambda value: isinstance(value, str) and value in words)


FLAG = Rule("true or false", lambda value: isinstance(value, bool))
NUMBER = _number(-_LARGEST_NUMBER, _LARGEST_NUMBER)
POSITIVE = _number(1e-30, 1e30)
BOUND = Rule("a finite number or null", lambda value: value is None or NUMBER.accepts(value))
DIM = _integer(0, _MAXIMUM_RANK - 1)
DIMS = Rule("different dimensions, each from 0 to 7", _is_dims)
SHAPE = Rule(f"a shape of at most 8 dimensions and {MAXIMUM_ELEMENTS} elements, each at least 1", _is_shape)
SIZE = _integer(1, MAXIMUM_ELEMENTS)
INDEX = _integer(0, MAXIMUM_ELEMENTS)
TYPE = _choice("float32", "int64", "bool")
REDUCTION = _choice("none", "mean", "sum")
PAIR = Rule(f"two whole numbers from 1 to {_LARGEST_WINDOW}, down and across", lambda value: _is_pair(value, 1))
PADDING = Rule(f"two whole numbers from 0 to {_LARGEST_WINDOW}, down and across", lambda value: _is_pair(value, 0))

_UNARY = Operation(1, 1)
_BINARY = Operation(2, 2)
_REDUCTION = Operation(1, 1, {"dims": DIMS, "keep": FLAG})
_POSITION = Operation(1, 1, {"dim": DIM, "keep": FLAG})
_NORMALISED = Operation(1, 1, {"dim": DIM})
_LOSS = Operation(2, 2, {"reduction": REDUCTION})

ALLOWED: Mapping[str, Operation] = {
    # element by element
    "abs": _UNARY,
    "ceil": _UNARY,
    "erf": _UNARY,
    "exp": _UNARY,
    "expm1": _UNARY,
    "floor": _UNARY,
    "hardsigmoid": _UNARY,
    "hardswish": _UNARY,
    "log": _UNARY,
    "log1p": _UNARY,
    "log_sigmoid": _UNARY,
    "logical_not": _UNARY,
    "mish": _UNARY,
    "neg": _UNARY,
    "reciprocal": _UNARY,
    "relu": _UNARY,
    "round": _UNARY,
    "rsqrt": _UNARY,
    "selu": _UNARY,
    "sigmoid": _UNARY,
    "sign": _UNARY,
    "silu": _UNARY,
    "sqrt": _UNARY,
    "tanh": _UNARY,
    "celu": Operation(1, 1, {"alpha": POSITIVE}),
    "clamp": Operation(1, 1, {"minimum": BOUND, "maximum": BOUND}),
    "elu": Operation(1, 1, {"alpha": POSITIVE}),
    "gelu": Operation(1, 1, {"approximate": _choice("none", "tanh")}),
    "hardtanh": Operation(1, 1, {"minimum": NUMBER, "maximum": NUMBER}),
    "leaky_relu": Operation(1, 1, {"slope": NUMBER}),
    "pow": Operation(1, 1, {"exponent": _number(-64, 64)}),
    "prelu": _BINARY,
    "softplus": Operation(1, 1, {"beta": POSITIVE, "threshold": NUMBER}),
    "to": Operation(1, 1, {"dtype": TYPE}),
    # two or three values, broadcast together
    "add": _BINARY,
    "div": _BINARY,
    "eq": _BINARY,
    "ge": _BINARY,
    "gt": _BINARY,
    "le": _BINARY,
    "logical_and": _BINARY,
    "logical_or": _BINARY,
    "logical_xor": _BINARY,
    "lt": _BINARY,
    "maximum": _BINARY,
    "minimum": _BINARY,
    "mul": _BINARY,
    "ne": _BINARY,
    "sub": _BINARY,
    "where": Operation(3, 3),
    # along dimensions; no dimension means all
    "amax": _REDUCTION,
    "amin": _REDUCTION,
    "argmax": _POSITION,
    "argmin": _POSITION,
    "log_softmax": _NORMALISED,
    "logsumexp": _REDUCTION,
    "mean": _REDUCTION,
    "softmax": _NORMALISED,
    "sum": _REDUCTION,
    "var": Operation(1, 1, {"dims": DIMS, "keep": FLAG, "correction": _integer(0, 1)}),
    # shapes, and values without operands
    "cat": Operation(1, 64, {"dim": DIM}),
    "detach": _UNARY,
    "expand": Operation(1, 1, {"shape": SHAPE}),
    "full": Operation(0, 0, {"shape": SHAPE, "value": NUMBER, "dtype": TYPE}),
    "arange": Operation(0, 0, {"count": SIZE}),
    "permute": Operation(1, 1, {"dims": DIMS}),
    "reshape": Operation(1, 1, {"shape": SHAPE}),
    "select": Operation(1, 1, {"dim": DIM, "index": INDEX}),
    "slice": Operation(1, 1, {"dim": DIM, "start": INDEX, "end": INDEX, "step": SIZE}),
    "stack": Operation(1, 64, {"dim": DIM}),
    # drawn for each record outside the program; in loss programs only
    "normal": Operation(0, 0, {"shape": SHAPE}),
    "uniform": Operation(0, 0, {"shape": SHAPE}),
    # matrices, normalisation, positions
    "linear": Operation(2, 3),
    "matmul": _BINARY,
    "layer_norm": Operation(1, 3, {"shape": SHAPE, "epsilon": POSITIVE}),
    "group_norm": Operation(1, 3, {"groups": SIZE, "epsilon": POSITIVE}),
    "embedding": _BINARY,
    "gather": Operation(2, 2, {"dim": DIM}),
    "one_hot": Operation(1, 1, {"classes": _integer(1, 100_000)}),
    # windows of images [n, c, h, w]; no shorter forms: what has one dimension is an image one high
    "avg_pool2d": Operation(1, 1, {"kernel": PAIR, "stride": PAIR, "padding": PADDING, "count_padding": FLAG}),
    "conv2d": Operation(
        2, 3, {"stride": PAIR, "padding": PADDING, "dilation": PAIR, "groups": _integer(1, _MOST_GROUPS)}
    ),
    "max_pool2d": Operation(1, 1, {"kernel": PAIR, "stride": PAIR, "padding": PADDING, "dilation": PAIR}),
    # losses
    "binary_cross_entropy": _LOSS,
    "binary_cross_entropy_with_logits": Operation(2, 3, {"reduction": REDUCTION}),
    "cross_entropy": Operation(2, 3, {"reduction": REDUCTION, "label_smoothing": _number(0, 1)}),
    "huber_loss": Operation(2, 2, {"reduction": REDUCTION, "delta": POSITIVE}),
    "kl_div": Operation(2, 2, {"reduction": REDUCTION, "log_target": FLAG}),
    "l1_loss": _LOSS,
    "mse_loss": _LOSS,
    "nll_loss": Operation(2, 3, {"reduction": REDUCTION}),
    "smooth_l1_loss": Operation(2, 2, {"reduction": REDUCTION, "beta": POSITIVE}),
}
