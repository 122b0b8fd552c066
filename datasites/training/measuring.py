"""How long a chunk takes on a path: measured on random records, in a bounded time whatever the program computes."""

from collections.abc import Callable
from math import inf

import torch
from torch import Tensor

from datasites.training.tape import Form, Tape

_RUNS = 5
_MOST_SECONDS = 1.0
_SOME = 8
"""Beside one unit at least so many are measured, or what each one more takes would be lost in the noise of time."""


def chunk_seconds(whole: Tape, units: int, fewer: Callable[[int], Tape]) -> float:
    """The seconds of a replay of `whole`, a chunk of `units` units.

    One that takes too long is broken off, and what one unit and some more take is carried on to all, in a line. It
    need not begin at zero: adding to the sums, say, takes as long for one unit as for many. Where one alone takes too
    long, no more are tried.

    Args: fewer: records the same path for so many units.
    """
    taken = _least_seconds(whole, _MOST_SECONDS)
    if taken < inf:
        return taken
    one = _least_seconds(fewer(1))
    some = min(units, max(_SOME, int(_MOST_SECONDS / one)))
    if some == 1 or one > _MOST_SECONDS:
        return units * one
    several = _least_seconds(fewer(some))
    each = max(0.0, several - one) / (some - 1)
    return max(_MOST_SECONDS, several + each * (units - some))


def _least_seconds(tape: Tape, most: float = inf) -> float:
    """The best of a few runs, or of one that takes long; infinite if the first is broken off, after `most` seconds."""
    values = [_random(form) for form in tape.forms]
    taken = [tape.seconds(*values, most=most)]
    while len(taken) < _RUNS and sum(taken) < _MOST_SECONDS:
        taken.append(tape.seconds(*values, most=inf))
    return min(taken)


def _random(form: Form) -> Tensor:
    if form.dtype == torch.bool:
        return torch.ones(form.shape, dtype=torch.bool)
    if form.dtype == torch.int64:
        return torch.randint(2**15, form.shape)
    return 2 * torch.rand(form.shape, dtype=form.dtype) - 1
