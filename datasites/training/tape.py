"""A tape: a computation on tensors as a list of the library's calls, replayed without transforms or differentiation."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple

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
    """One library call: where its results go (nowhere, if there is none), and which values nobody reads after it.

    args: places, other values, and lists of both. kwargs: no places.
    """

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
        return {it.number for it in tree_leaves(self.args) if isinstance(it, Place)}


class _Step(NamedTuple):
    """A call as it is replayed: `operands` picks them out of all values, a single result goes to a single place."""

    operation: Callable[..., Any]
    operands: Callable[[list[Any]], Sequence[Any]]
    options: Mapping[str, Any]
    results: int | tuple[int | None, ...]
    last: tuple[int, ...]


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
        steps, others = self._steps
        values = [*arguments, *others]
        _take(steps, values)
        return tuple(values[number] for number in self.results)

    @torch.inference_mode()
    def seconds(self, *arguments: Tensor, most: float) -> float:
        """How long a replay takes; infinite if over `most` seconds: it is broken off after the call they end in."""
        steps, others = self._steps
        values, began = [*arguments, *others], time.monotonic()
        for step in steps:
            _take((step,), values)
            if time.monotonic() - began > most:
                return inf
        return time.monotonic() - began

    @cached_property
    def _steps(self) -> tuple[list[_Step], list[Any]]:
        """The calls, so that little is left to do between them, and what all places but the arguments' begin with.

        What a call takes that is no place gets one, behind the others; a list with places in it is a step of its own.
        """
        values, steps = [self.constants.get(number) for number in range(self.size)], list[_Step]()

        def place(template: Any, lists: list[int]) -> int:
            if type(template) is Place:
                return template.number
            number = len(values)
            values.append(template)
            if type(template) is list and any(isinstance(it, Place) for it in tree_leaves(template)):
                values[number] = None
                steps.append(_Step(_listed, _picked([place(it, lists) for it in template]), {}, number, ()))
                lists.append(number)
            return number

        for call in self.calls:
            lists = list[int]()
            operands = _picked([place(it, lists) for it in call.args])
            single = None if call.several else call.results[0]
            results = call.results if single is None else single
            steps.append(_Step(call.operation, operands, call.kwargs, results, (*call.last, *lists)))
        return steps, values[len(self.forms) :]


def mapped(template: Any, place: Callable[[Place], Any]) -> Any:
    """`template` with every place in it, in lists too, replaced."""
    if type(template) is Place:
        return place(template)
    return [mapped(it, place) for it in template] if type(template) is list else template


def _take(steps: Iterable[_Step], values: list[Any]) -> None:
    for operation, operands, options, results, last in steps:
        found = operation(*operands(values), **options)
        if isinstance(results, int):
            values[results] = found
        else:
            for place, value in zip(results, found, strict=True):
                if place is not None:
                    values[place] = value
        for number in last:
            values[number] = None


def _picked(places: Sequence[int]) -> Callable[[list[Any]], Sequence[Any]]:
    if len(places) > 1:
        return itemgetter(*places)
    first = places[0] if places else 0
    return itemgetter(slice(first, first + len(places)))


def _listed(*values: Any) -> list[Any]:
    return [*values]
