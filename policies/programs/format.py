"""The tensor-program format: what a plan's loss and metrics become so that no Python of a researcher runs at a site.

A program computes on one record. Its values are numbered: first the inputs in their order, then one value a node. A
node names an operation of the allow-list (`policies.programs.allow_list`), refers to earlier values by number, and
carries static options. Literals are `full` nodes, so an operand is never anything but a tensor. Random numbers are
values of `RANDOM` nodes; whoever runs the program draws them outside it and hands them in beside the record.
"""

from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.statements.digests import digest
from policies.statements.schema import StrictModel, parse_model

MAXIMUM_PROGRAM_BYTES = 1024 * 1024
MAXIMUM_NODES = 20_000
MAXIMUM_INPUTS = 4_000
MAXIMUM_OUTPUTS = 80
MAXIMUM_ELEMENTS = 50_000_000
"""Most elements of all parameters together, of all constants together, and of any one value."""

RANDOM = frozenset({"normal", "uniform"})
"""Operations without operands whose values are drawn anew for each record: standard normal, or even in [0, 1)."""

WORD = r"^[a-z][a-z0-9_]{0,62}$"
"""What names of operations, options and outputs look like."""

DType = Literal["float32", "int64", "bool"]
Kind = Literal["parameter", "constant", "feature", "target"]

_Dimension = Annotated[int, Field(ge=1, le=MAXIMUM_ELEMENTS)]
_Reference = Annotated[int, Field(ge=0, lt=MAXIMUM_INPUTS + MAXIMUM_NODES)]
_Integer = Annotated[int, Field(gt=-(2**53), lt=2**53)]
_Word = Annotated[str, StringConstraints(pattern=WORD)]
_Path = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$", max_length=200)]

Option = None | bool | _Integer | float | _Word | Annotated[tuple[_Integer, ...], Field(max_length=8)]


class Input(StrictModel):
    """A value the program is given: a trained parameter, a constant, the record's features or its target."""

    name: _Path
    kind: Kind
    shape: Annotated[tuple[_Dimension, ...], Field(max_length=8)]
    dtype: DType

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


class Node(StrictModel):
    """One operation: `args` are numbers of earlier values, `kwargs` its static options, all of them spelled out."""

    op: _Word
    args: Annotated[tuple[_Reference, ...], Field(max_length=64)]
    kwargs: Annotated[dict[_Word, Option], Field(max_length=8)]


@dataclass(frozen=True)
class Draw:
    """The value of a random node: which of `RANDOM`, and its shape for one record."""

    op: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


class Output(StrictModel):
    """A named result: the value that `ref` numbers, a float32 scalar."""

    name: _Word
    ref: _Reference


class Program(StrictModel):
    """A tensor program. Being well formed is not yet being allowed: see `policies.programs.check.check_program`.

    Inputs stand in one order: parameters by name, constants by name, one record's features, its target.
    """

    version: Literal["cloister-program/1"]
    inputs: Annotated[tuple[Input, ...], Field(min_length=3, max_length=MAXIMUM_INPUTS)]
    nodes: Annotated[tuple[Node, ...], Field(min_length=1, max_length=MAXIMUM_NODES)]
    outputs: Annotated[tuple[Output, ...], Field(min_length=1, max_length=MAXIMUM_OUTPUTS)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        expected = (
            *_sorted(self, "parameter"),
            *_sorted(self, "constant"),
            *_all(self, "feature"),
            *_all(self, "target"),
        )
        if self.inputs != expected:
            raise ValueError("inputs must be parameters by name, constants by name, the feature, then the target")
        if not self.parameters or len(_all(self, "feature")) != 1 or len(_all(self, "target")) != 1:
            raise ValueError("a program has at least one parameter, exactly one feature and exactly one target")
        names = [entry.name for entry in self.inputs]
        if len(set(names)) != len(names):
            raise ValueError("two inputs have the same name")
        results = self.output_names
        if len(set(results)) != len(results):
            raise ValueError("two outputs have the same name")
        return self

    @property
    def parameters(self) -> tuple[Input, ...]:
        """The trained inputs by name: the order in which they are flattened."""
        return _all(self, "parameter")

    @property
    def constants(self) -> tuple[Input, ...]:
        """The fixed inputs by name: frozen parameters, buffers and tensor literals."""
        return _all(self, "constant")

    @property
    def feature(self) -> Input:
        """The record's features: columns [d], an image [c, h, w], tokens [length]."""
        return self.inputs[-2]

    @property
    def target(self) -> Input:
        """The record's target: a float32 number or an int64 category index, or several [t]."""
        return self.inputs[-1]

    @property
    def draws(self) -> tuple[Draw, ...]:
        """What is drawn for each record, in the order in which a run takes it."""
        return tuple(
            Draw(node.op, shape)
            for node in self.nodes
            if node.op in RANDOM and isinstance(shape := node.kwargs.get("shape"), tuple)
        )

    @property
    def parameter_count(self) -> int:
        """Number of trained coordinates."""
        return sum(entry.size for entry in self.parameters)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the results, in order."""
        return tuple(output.name for output in self.outputs)

    def digest(self) -> str:
        """The digest by which terms name this program."""
        return digest("program", self.canonical())


def parse_program(data: bytes) -> Program:
    """Parse an untrusted program; `check_program` must still allow it.

    Raises:
        InvalidInputError: not canonical JSON of at most `MAXIMUM_PROGRAM_BYTES`, or a field is wrong.
    """
    return parse_model(Program, data, maximum_bytes=MAXIMUM_PROGRAM_BYTES, what="The tensor program")


def _all(program: Program, kind: Kind) -> tuple[Input, ...]:
    return tuple(entry for entry in program.inputs if entry.kind == kind)


def _sorted(program: Program, kind: Kind) -> tuple[Input, ...]:
    return tuple(sorted(_all(program, kind), key=lambda entry: entry.name))
