"""Which parameters a plan trains: those whose names match a pattern; the others are frozen where they are."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from torch import nn

from policies.errors import InvalidInputError

_NAMES_SHOWN = 3


def freeze_others(model: nn.Module, patterns: Sequence[str]) -> None:
    """Switch `requires_grad` off for every parameter of which no name matches a pattern.

    Raises:
        InvalidInputError: a pattern matches nothing, with names that are close; or nothing is left to train.
    """
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    everything = [name for each in names.values() for name in each]
    if isinstance(patterns, str):
        raise InvalidInputError(f"The plan's trainable is {patterns!r}; write a tuple of patterns: ({patterns!r},).")
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in everything):
            raise InvalidInputError(
                f"The plan's trainable pattern {pattern!r} matches no parameter; names near it are "
                f"{_close(pattern, everything)}."
            )
    for parameter, own in names.items():
        if not any(fnmatchcase(name, pattern) for name in own for pattern in patterns):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in names):
        raise InvalidInputError(
            "The model has no parameter with requires_grad that the plan's trainable matches; nothing to train is left."
        )
    for parameter, own in names.items():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise InvalidInputError(f"The parameter {own[0]!r} is {parameter.dtype}; call .float() on the model.")


def _close(pattern: str, names: Sequence[str]) -> str:
    word = pattern.replace("*", "").strip(".")
    near = get_close_matches(word, names, _NAMES_SHOWN, 0.3) or list(names[:_NAMES_SHOWN])
    return ", ".join(repr(name) for name in near)
