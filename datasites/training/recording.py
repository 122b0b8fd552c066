"""Recording a tape: a computation is taken apart once, on fake tensors, for one size.

`torch.func` takes a computation apart in Python at every call, which for a small model costs more than the arithmetic.
What is recorded are the library's own operations below the transforms and below automatic differentiation: no source
is generated, and of a program nothing but its operations gets in. No operation's behaviour depends on values, so one
recording stands for all records; where its time does, `datasites.training.steady` says what is recorded in its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from datasites.training.steady import steady
from datasites.training.tape import Call, Form, Place, Tape
from datasites.training.tidying import Memory, Tidied


def record(function: Callable[..., Sequence[Tensor]], *forms: Form) -> Tape:
    """Record `function` on arguments of the given `forms`.

    It may use transforms, but must not depend on values, nor write to its arguments.

    Raises:
        RuntimeError, ValueError, TypeError, IndexError: the function does not fit its arguments.
    """
    with FakeTensorMode():
        arguments = [torch.empty(form.shape, dtype=form.dtype) for form in forms]
        with _Recorder(arguments) as recorder:
            results = function(*arguments)
        places = tuple(recorder.place(result) for result in results)
    given = [*range(len(forms)), *recorder.constants]
    tidied = Tidied([Memory.of(value) for value in recorder.values], given, recorder.calls)
    places = tuple(tidied.place(number) for number in places)
    calls = _with_last_uses(_needed(tidied.calls, tidied.memory, places), places)
    taken = {number for call in calls for number in call.takes} | set(places)
    constants = {it: value for it, value in {**recorder.constants, **tidied.constants}.items() if it in taken}
    peak_bytes = _peak_bytes(calls, tidied.memory, given)
    return Tape(calls, constants, forms, len(tidied.memory), places, peak_bytes)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each library call on fake tensors. It keeps every value, so that an identity stands for one value only."""

    def __init__(self, arguments: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values: list[Tensor] = [*arguments]
        self.constants: dict[int, Tensor] = {}
        self.calls: list[Call] = []
        self._is_instead = False
        self._places = {id(value): number for number, value in enumerate(self.values)}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        instead = None if self._is_instead else steady(func, args)
        if instead is not None:
            self._is_instead = True
            with self:
                found = instead(*args, **(kwargs or {}))
            self._is_instead = False
            return found
        result = func(*args, **(kwargs or {}))
        several = isinstance(result, tuple | list)
        values = result if several else (result,)
        if any(isinstance(value, Tensor) for value in values):
            operands = tuple(self._template(it) for it in args)
            if any(isinstance(it, Tensor) for it in tree_leaves(kwargs or {})):
                raise RuntimeError(f"{func} takes a tensor by name")
            results = tuple(self._result(value) for value in values)
            self.calls.append(Call(func, operands, dict(kwargs or {}), results, several))
        return result

    def place(self, value: Tensor) -> int:
        """Where `value` stands; a tensor that is not fake is a constant of the library's own, such as a factor."""
        known = self._places.get(id(value))
        if known is not None:
            return known
        if isinstance(value, FakeTensor):
            raise RuntimeError("a value came from a call that was not seen")
        self.constants[len(self.values)] = value
        return self._keep(value)

    def _template(self, argument: Any) -> Any:
        if isinstance(argument, Tensor):
            return Place(self.place(argument))
        return [self._template(it) for it in argument] if isinstance(argument, list | tuple) else argument

    def _result(self, value: Any) -> int | None:
        if not isinstance(value, Tensor):
            return None
        known = self._places.get(id(value))  # a call in place gives back its operand
        return self._keep(value) if known is None else known

    def _keep(self, value: Tensor) -> int:
        self.values.append(value)
        self._places[id(value)] = len(self.values) - 1
        return len(self.values) - 1


def _needed(calls: Sequence[Call], memory: Sequence[Memory], results: Sequence[int]) -> list[Call]:
    """The calls that the results depend on: by what they give, or by writing to memory that is read later."""
    wanted, read, kept = set(results), {memory[number].storage for number in results}, []
    for call in reversed(calls):
        in_place = call.operation._schema.is_mutable
        if wanted & call.gives or (in_place and read & {memory[number].storage for number in call.gives}):
            kept.append(call)
            wanted |= call.takes
            read |= {memory[number].storage for number in call.takes}
    return kept[::-1]


def _with_last_uses(calls: Sequence[Call], results: Sequence[int]) -> tuple[Call, ...]:
    seen, marked = set(results), []
    for call in reversed(calls):
        last = (call.takes | call.gives) - seen
        seen |= last
        marked.append(replace(call, last=tuple(sorted(last))))
    return tuple(marked[::-1])


def _peak_bytes(calls: Sequence[Call], memory: Sequence[Memory], given: Sequence[int]) -> int:
    """The most that is alive at one call; several values may be views of one storage, which lives as long as any."""
    outside, users = {memory[number].storage for number in given}, dict[int, set[int]]()
    live = peak = 0
    for call in calls:
        for number in call.gives:
            if memory[number].storage not in outside:
                holders = users.setdefault(memory[number].storage, set())
                live += 0 if holders else memory[number].storage_bytes
                holders.add(number)
        peak = max(peak, live)
        for number in call.last:
            holders = users.get(memory[number].storage, set())
            if number in holders:
                holders.remove(number)
                live -= 0 if holders else memory[number].storage_bytes
    return peak
