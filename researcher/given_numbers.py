"""A plan run as ordinary torch under given random numbers, those that its program is given as well."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from policies.errors import InvalidInputError
from policies.programs.format import Draw

Source = Callable[[str, Sequence[int]], Tensor]
"""(an operation of `policies.programs.format.RANDOM`, a shape) → the numbers drawn next."""

_STEADY = {"normal": 0.5, "uniform": 0.999}


def steady(op: str, shape: Sequence[int]) -> Tensor:
    """One number everywhere, so that the numbers of a batch are those of its records: dropout then keeps all."""
    return torch.full(tuple(shape), _STEADY[op])


def in_order(draws: Sequence[Draw], numbers: Sequence[Tensor]) -> Source:
    """The given numbers one after the other, as long as what is asked for is what the program draws."""
    waiting: Iterator[tuple[Draw, Tensor]] = iter(zip(draws, numbers, strict=True))

    def following(op: str, shape: Sequence[int]) -> Tensor:
        draw, value = next(waiting, (None, None))
        if value is None or draw != Draw(op, tuple(shape)):
            raise InvalidInputError(
                f"The plan draws {op} numbers of shape {list(shape)} where its loss program draws others: draw only "
                "what the loss uses, always in one order."
            )
        return value

    return following


class GivenNumbers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, dropout and torch's random numbers are made of what `source` gives, as programs make them."""

    def __init__(self, source: Source) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._source = source

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = str(func).removeprefix("aten.")
        if name in ("rand.default", "randn.default"):
            return self._source("uniform" if name == "rand.default" else "normal", args[0])
        if name in ("rand_like.default", "randn_like.default"):
            return self._source("uniform" if name == "rand_like.default" else "normal", args[0].shape)
        if name == "bernoulli.default":
            return (self._source("uniform", args[0].shape) < args[0]).to(args[0].dtype)
        if name == "bernoulli_.float":
            probability = args[1] if len(args) > 1 else 0.5
            return args[0].copy_(self._source("uniform", args[0].shape) >= 1 - probability)
        if name in ("normal_.default", "uniform_.default"):
            start, other = [*args[1:], 0.0, 1.0][:2] if len(args) != 2 else (args[1], 1.0)
            scale = other if name == "normal_.default" else other - start
            return args[0].copy_(self._source(name.removesuffix("_.default"), args[0].shape) * scale + start)
        return func(*args, **(kwargs or {}))
