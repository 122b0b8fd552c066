"""A tape: a computation on tensors as a list of the library's calls, replayed without transforms or differentiation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Form:
    """Shape and type of an argument."""

    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Place:
    """A place in the list of values: where a call takes an operand from."""

    number: int


@dataclass(frozen=True, eq=False)
class Call:
    """One library call: where its results go (nowhere, if there is none), and which values nobody reads after it."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: tuple[int | None, ...]
    several: bool
    last: tuple[int, ...] = ()

    @property
    def gives(self) -> set[int]:
        """The values that it gives."""
        return {number for number in self.results if number is not None}

    @property
    def takes(self) -> set[int]:
        """The values that it takes."""
        return {it.number for it in tree_leaves((self.args, dict(self.kwargs))) if isinstance(it, Place)}


@dataclass(frozen=True, eq=False)
class Tape:
    """A recorded computation.

    calls: in their order. constants: the library's own factors, by place. forms: of the arguments, which are in the
    first places. size: number of places. results: places. peak_bytes: the most memory that values take at one time,
    without the arguments and without what a call needs for itself.
    """

    calls: tuple[Call, ...]
    constants: Mapping[int, Tensor]
    forms: tuple[Form, ...]
    size: int
    results: tuple[int, ...]
    peak_bytes: int

    @torch.inference_mode()
    def replay(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        """Compute again on contiguous tensors of the forms that were recorded: bit by bit what the function gives."""
        values: list[Any] = [*arguments, *[None] * (self.size - len(self.forms))]
        for number, constant in self.constants.items():
            values[number] = constant
        for call in self.calls:
            args = [_resolved(it, values) for it in call.args]
            kwargs = {name: _resolved(it, values) for name, it in call.kwargs.items()}
            result = call.operation(*args, **kwargs)
            for place, value in zip(call.results, result if call.several else (result,), strict=True):
                if place is not None:
                    values[place] = value
            for number in call.last:
                values[number] = None
        return tuple(values[number] for number in self.results)


def mapped(template: Any, place: Callable[[Place], Any]) -> Any:
    """`template` with every place in it, in lists too, replaced."""
    if type(template) is Place:
        return place(template)
    return [mapped(it, place) for it in template] if type(template) is list else template


def _resolved(template: Any, values: Sequence[Any]) -> Any:
    if type(template) is Place:
        return values[template.number]
    return [_resolved(it, values) for it in template] if type(template) is list else template
