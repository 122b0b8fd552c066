"""Tidying a recording: what transforms and differentiation leave behind that computes nothing is taken out.

Values are the same bit by bit afterwards: a view that is there already is not taken again, views of views are taken
at once, and what was computed from the same operands is not computed twice. Memory that any call writes to in place
is left alone altogether.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from datasites.training.tape import Call, Place, mapped

_ATEN = torch.ops.aten
_FIXED = {
    _ATEN.scalar_tensor.default,
    _ATEN.zeros.default,
    _ATEN.ones.default,
    _ATEN.full.default,
    _ATEN.arange.default,
}
_LIKE = {_ATEN.zeros_like.default: _ATEN.zeros.default, _ATEN.ones_like.default: _ATEN.ones.default}
"""What is filled in the form of another value, and does not depend on it otherwise."""
_SMALL_BYTES = 4096


class _Geometry(NamedTuple):
    storage: int
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """Where a recorded value lies: how in which storage, and how large that is."""

    geometry: _Geometry
    storage_bytes: int
    contiguous: bool

    @classmethod
    def of(cls, value: Tensor) -> Self:
        """Of a value, which must be kept: storages are told apart by their addresses."""
        storage, shape, strides = value.untyped_storage(), tuple(value.shape), tuple(value.stride())
        geometry = _Geometry(storage._cdata, value.dtype, int(value.storage_offset()), shape, strides)
        return cls(geometry, storage.nbytes(), value.is_contiguous())

    @property
    def storage(self) -> int:
        return self.geometry.storage


class Tidied:
    """A recording as it is made: calls, the library's own constants, and where values lie, all by place."""

    def __init__(self, memory: Sequence[Memory], given: Iterable[int], calls: Sequence[Call]) -> None:
        """Args: given: the places of arguments and constants. calls: all of them, to be added one by one."""
        self.memory = list(memory)
        self.calls: list[Call] = []
        self.constants: dict[int, Tensor] = {}
        self._written = {memory[it].storage for call in calls if call.operation._schema.is_mutable for it in call.gives}
        self._instead, self._moved = dict[int, int](), dict[int, int]()
        self._computed, self._views, self._wholes = dict[str, int](), dict[_Geometry, int](), dict[Any, int]()
        for number in given:
            self._remember(number)
        for call in calls:
            self._add(call)

    def place(self, number: int) -> int:
        """Where the value of this place now is."""
        return self._instead.get(number, number)

    def _add(self, call: Call) -> None:
        call = replace(call, args=tuple(mapped(it, self._current) for it in call.args))
        if call.operation in _LIKE:
            call = self._filled(call)
        for number in call.gives:
            storage = self.memory[number].storage
            self._move(number, self._moved.get(storage, storage))
        touched = {self.memory[number].storage for number in call.gives | call.takes}
        if call.several or touched & self._written:
            self.calls.append(call)
        else:
            (number,) = call.gives
            self._add_pure(call, number, {self.memory[it].storage for it in call.takes})
        for number in call.gives:
            self._remember(number)

    def _add_pure(self, call: Call, number: int, taken: set[int]) -> None:
        memory = self.memory[number]
        if memory.storage in taken:
            known = self._views.get(memory.geometry)
            root = self._wholes.get(_whole(memory)) if memory.contiguous else None
            if known is None and root is not None:
                call = replace(
                    call, operation=_ATEN.view.default, kwargs={}, args=(Place(root), [*memory.geometry.shape])
                )
        else:
            known = self._computed.setdefault(repr((call.operation, call.args, call.kwargs)), number)
        if known is not None and known != number:
            self._instead[number] = known
            self._moved[memory.storage] = self.memory[known].storage
        elif call.operation in _FIXED and memory.storage_bytes <= _SMALL_BYTES:
            self.constants[number] = call.operation(*call.args, **call.kwargs)
        else:
            self.calls.append(call)

    def _filled(self, call: Call) -> Call:
        """The same numbers without the value whose form they have, so that nobody need compute it."""
        (number,) = call.gives
        memory = self.memory[number]
        if not memory.contiguous:
            return call
        operation, form = _LIKE[call.operation], [*memory.geometry.shape]
        return replace(call, operation=operation, args=(form,), kwargs={"dtype": memory.geometry.dtype})

    def _current(self, place: Place) -> Place:
        return Place(self.place(place.number))

    def _move(self, number: int, storage: int) -> None:
        memory = self.memory[number]
        self.memory[number] = replace(memory, geometry=memory.geometry._replace(storage=storage))

    def _remember(self, number: int) -> None:
        memory = self.memory[number]
        if number in self._instead or memory.storage in self._written:
            return
        self._views.setdefault(memory.geometry, number)
        if memory.contiguous:
            self._wholes.setdefault(_whole(memory), number)


def _whole(memory: Memory) -> tuple[int, torch.dtype, int, int]:
    """What all contiguous views of the same numbers have in common."""
    storage, dtype, offset, shape, _ = memory.geometry
    return storage, dtype, offset, prod(shape)
