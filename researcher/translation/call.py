"""One call in a graph of torch.export, and the nodes of the program that it becomes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from policies.errors import InvalidInputError
from policies.programs.format import DType, Node, Option
from researcher.source_lines import line_of_node

DTYPES: Mapping[torch.dtype, DType] = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}

_WITHOUT_MEANING = {
    "device", "layout", "pin_memory", "memory_format", "non_blocking", "cudnn_enable", "cudnn_enabled", "implicit",
    "sparse_grad",
}  # fmt: skip
_LARGEST = torch.finfo(torch.float32).max

Values = int | list[int]


@dataclass
class Builder:
    """The nodes written so far; the first `inputs` value numbers are the program's inputs.

    Only where it `may_draw` may the program draw random numbers.
    """

    inputs: int
    may_draw: bool
    nodes: list[Node] = field(default_factory=list)
    literals: dict[tuple[DType, float], int] = field(default_factory=dict)

    def emit(self, op: str, *args: int, **kwargs: Option) -> int:
        """Append one node and return its value number."""
        self.nodes.append(Node(op=op, args=args, kwargs=kwargs))
        return self.inputs + len(self.nodes) - 1

    def literal(self, value: float) -> int:
        """The scalar node for a Python number, one for each number and type."""
        dtype: DType = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else "float32"
        if (dtype, value) not in self.literals:
            self.literals[dtype, value] = self.emit("full", shape=(), value=value, dtype=dtype)
        return self.literals[dtype, value]


class Call:
    """One call in the exported graph, its arguments bound to the names of the operation's schema."""

    def __init__(self, build: Builder, node: fx.Node, known: Mapping[fx.Node, Values], where: str) -> None:
        """Bind the arguments of `node`; `where` begins the sentences of errors."""
        schema = node.target._schema  # type: ignore[union-attr]
        self._build, self._node, self._known, self._where = build, node, known, where
        self._defaults = {entry.name: entry.default_value for entry in schema.arguments}
        names = [entry.name for entry in schema.arguments]
        self._arguments = {**self._defaults, **dict(zip(names, node.args, strict=False)), **node.kwargs}
        self._used: set[str] = set()

    def get(self, name: str) -> Any:
        """The argument as the graph has it."""
        self._used.add(name)
        return self._arguments[name]

    def has(self, name: str) -> bool:
        """Whether the operation's schema has the argument."""
        return name in self._defaults

    def skip(self, *names: str) -> None:
        """Take note of arguments that the result's shape and type already say."""
        self._used.update(names)

    def ref(self, name: str) -> int:
        """The value number of a tensor argument; a Python number becomes a literal."""
        return self._reference(self.get(name))

    def refs(self, name: str, part: slice = slice(None)) -> list[int]:
        """The value numbers of a list of tensors, or of a part of it."""
        return [self._reference(value) for value in self.get(name)[part]]

    def optional(self, *names: str) -> list[int]:
        """The value numbers of trailing tensor arguments that may be None; none after the first that is."""
        given = [name for name in names if self._arguments[name] is not None]
        if given != list(names[: len(given)]):
            raise self.refusal(f"with {given[-1]} but without {names[0]}")
        return [self.ref(name) for name in given]

    def emit(self, op: str, *args: int, **kwargs: Option) -> int:
        """Append a node of the program; an infinite option becomes the largest number, as a program has finite ones."""
        options = {name: self._finite(value) if isinstance(value, float) else value for name, value in kwargs.items()}
        return self._build.emit(op, *args, **options)

    def literal(self, value: float) -> int:
        """A scalar of the program."""
        return self._build.literal(self._finite(value))

    def draw(self, op: str, shape: tuple[int, ...]) -> int:
        """A node whose value is drawn for each record."""
        if not self._build.may_draw:
            raise self.refusal("to draw random numbers, which metrics may not: leave them out `if not self.training`")
        return self._build.emit(op, shape=shape)

    def users(self) -> set[str]:
        """The operations that use the call's result."""
        return {str(user.target).removeprefix("aten.") for user in self._node.users}

    def tensor(self, name: str) -> Tensor:
        """Shape and type of a tensor argument."""
        meta: Tensor = self._arguments[name].meta["val"]
        return meta

    def dim(self, name: str = "dim") -> int:
        """A dimension of `self`, counted from the front."""
        return int(self.get(name)) % max(self.tensor("self").ndim, 1)

    def dims(self, name: str = "dim") -> tuple[int, ...]:
        """A list of dimensions of `self`, counted from the front; empty for all."""
        got = self.get(name)
        rank = max(self.tensor("self").ndim, 1)
        return tuple(dim % rank for dim in ([got] if isinstance(got, int) else got or ()))

    def result(self, index: int | None = None) -> Tensor:
        """Shape and type of the call's result, or of one of several results."""
        meta = self._node.meta["val"]
        value: Tensor = meta if index is None else meta[index]
        return value

    def results(self) -> int:
        """How many results the call has."""
        return len(self._node.meta["val"])

    def shape(self, index: int | None = None) -> tuple[int, ...]:
        """The result's shape."""
        sizes = tuple(self.result(index).shape)
        if not all(isinstance(size, int) for size in sizes):
            raise self.refusal("with a shape that depends on values: keep shapes fixed, choose with torch.where")
        return sizes

    def dtype(self, of: Tensor | None = None) -> DType:
        """The result's type."""
        dtype = (self.result() if of is None else of).dtype
        if dtype not in DTYPES:
            raise self.refusal(f"in {dtype}: use float32 (.float()), int64 (.long()) or bool")
        return DTYPES[dtype]

    def refusal(self, problem: str) -> InvalidInputError:
        """The error for this call."""
        return refusal_of(self._node, self._where, problem)

    def check_all_used(self) -> None:
        """Refuse the call if it gives an argument that its translation did not look at."""
        for name, value in self._arguments.items():
            if name not in self._used | _WITHOUT_MEANING and value != self._defaults[name]:
                raise self.refusal(f"with {name}={value}, which tensor programs do not have: leave it out")

    def _finite(self, value: float) -> float:
        if math.isnan(value):
            raise self.refusal("with an undefined number (NaN): use a finite one")
        return max(-_LARGEST, min(_LARGEST, value)) if math.isinf(value) else value

    def _reference(self, value: Any) -> int:
        if isinstance(value, fx.Node):
            known = self._known[value]
            if isinstance(known, list):
                raise self.refusal("on several tensors at once")
            return known
        return self.literal(value)


Handler = Callable[[Call], Values]


def refusal_of(node: fx.Node, where: str, problem: str) -> InvalidInputError:
    """The error for one node of the graph: what it is, the researcher's line that wrote it, and what to do."""
    name = str(node.target).removeprefix("aten.").split(".")[0]
    return InvalidInputError(f"{where} uses {name}{line_of_node(node)} {problem}.")
