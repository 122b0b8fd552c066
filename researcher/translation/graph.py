"""From a graph of torch.export to a tensor program: the operations of the allow-list, or a refusal with its remedy."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, fx

from policies.errors import InvalidInputError
from policies.programs.format import DType, Input, Node, Option, Output, Program
from policies.statements.schema import describe_validation_error
from researcher.translation.remedies import remedy

DTYPES: Mapping[torch.dtype, DType] = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}

_WITHOUT_MEANING = {
    "device", "layout", "pin_memory", "memory_format", "non_blocking", "cudnn_enable", "cudnn_enabled", "implicit",
    "sparse_grad",
}  # fmt: skip
_CALLER = str(Path(__file__).parent.parent / "export.py")
_GUARDS = ("aten._assert_tensor_metadata.default",)

Values = int | list[int]


@dataclass
class Builder:
    """The nodes written so far; the first `inputs` value numbers are the program's inputs."""

    inputs: int
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

    def refs(self, name: str) -> list[int]:
        """The value numbers of a list of tensors."""
        return [self._reference(value) for value in self.get(name)]

    def optional(self, *names: str) -> list[int]:
        """The value numbers of trailing tensor arguments that may be None; none after the first that is."""
        given = [name for name in names if self._arguments[name] is not None]
        if given != list(names[: len(given)]):
            raise self.refusal(f"with {given[-1]} but without {names[0]}")
        return [self.ref(name) for name in given]

    def emit(self, op: str, *args: int, **kwargs: Option) -> int:
        """Append a node of the program."""
        if any(isinstance(value, float) and not math.isfinite(value) for value in kwargs.values()):
            raise self.refusal("with an infinite or undefined number: use a large finite one, such as -1e9")
        return self._build.emit(op, *args, **kwargs)

    def literal(self, value: float) -> int:
        """A scalar of the program."""
        if not math.isfinite(value):
            raise self.refusal("with an infinite or undefined number: use a large finite one, such as -1e9")
        return self._build.literal(value)

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
        return _refusal(self._node, self._where, problem)

    def check_all_used(self) -> None:
        """Refuse the call if it gives an argument that its translation did not look at."""
        for name, value in self._arguments.items():
            if name not in self._used | _WITHOUT_MEANING and value != self._defaults[name]:
                raise self.refusal(f"with {name}={value}, which tensor programs do not have: leave it out")

    def _reference(self, value: Any) -> int:
        if isinstance(value, fx.Node):
            known = self._known[value]
            if isinstance(known, list):
                raise self.refusal("on several tensors at once")
            return known
        return self.literal(value)


Handler = Callable[[Call], Values]


def translate(
    graph: fx.Graph,
    placeholders: Mapping[str, str],
    inputs: Sequence[Input],
    output_names: Sequence[str],
    handlers: Mapping[str, Handler],
    where: str,
) -> Program:
    """Translate a functional graph; `placeholders` maps its placeholders' names to names of `inputs`.

    Raises:
        InvalidInputError: an operation is not allowed, naming it, the line that calls it, and the remedy.
    """
    number = {entry.name: index for index, entry in enumerate(inputs)}
    build = Builder(len(inputs))
    known: dict[fx.Node, Values] = {}
    results: list[int] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            if node.users:
                known[node] = number[placeholders[node.name]]
        elif node.op == "output":
            results = [_single(known[value]) for value in node.args[0]]
        elif node.target is operator.getitem and isinstance(node.args[0], fx.Node):
            known[node] = _item(node.args[0], known[node.args[0]], int(node.args[1]), where)
        elif str(node.target) not in _GUARDS:
            known[node] = _translated(node, build, known, handlers, where)
    nodes, results = _needed(build, results)
    try:
        outputs = tuple(Output(name=name, ref=ref) for name, ref in zip(output_names, results, strict=True))
        return Program(version="cloister-program/1", inputs=tuple(inputs), nodes=tuple(nodes), outputs=outputs)
    except ValidationError as error:
        raise InvalidInputError(f"{where} has no tensor program ({describe_validation_error(error)}).") from error


def _translated(
    node: fx.Node, build: Builder, known: Mapping[fx.Node, Values], handlers: Mapping[str, Handler], where: str
) -> Values:
    handler = handlers.get(str(node.target).removeprefix("aten."))
    if handler is None:
        raise _refusal(node, where, remedy(str(node.target)))
    call = Call(build, node, known, where)
    try:
        result = handler(call)
    except ValidationError as error:
        raise call.refusal(f"in a form that tensor programs lack ({describe_validation_error(error)})") from error
    call.check_all_used()
    return result


def _needed(build: Builder, results: Sequence[int]) -> tuple[list[Node], list[int]]:
    """Leave out nodes that no result needs, and renumber."""
    needed = set(results)
    for index in reversed(range(len(build.nodes))):
        if build.inputs + index in needed:
            needed.update(build.nodes[index].args)
    number = {index: index for index in range(build.inputs)}
    nodes: list[Node] = []
    for index, node in enumerate(build.nodes):
        if build.inputs + index in needed:
            number[build.inputs + index] = build.inputs + len(nodes)
            nodes.append(node.model_copy(update={"args": tuple(number[reference] for reference in node.args)}))
    return nodes, [number[result] for result in results]


def _single(value: Values) -> int:
    return value[0] if isinstance(value, list) else value


def _item(node: fx.Node, values: Values, index: int, where: str) -> int:
    if not isinstance(values, list):
        return values
    if index >= len(values):
        raise _refusal(node, where, "for a result of it that tensor programs do not have, such as positions")
    return values[index]


def _refusal(node: fx.Node, where: str, problem: str) -> InvalidInputError:
    name = str(node.target).removeprefix("aten.").split(".")[0]
    frames = [line.strip() for line in str(node.meta.get("stack_trace", "")).splitlines() if line.strip()]
    # The graph knows lines of modules only; for plan.loss and plan.metrics it names the line that called them.
    known = len(frames) >= 2 and _CALLER not in frames[-2]
    return InvalidInputError(f"{where} uses {name}{f' (at `{frames[-1][:120]}`)' if known else ''} {problem}.")
