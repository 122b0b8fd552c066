"""P1 through how the work is done: whatever a record holds, the same operations run, on memory that was written."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from datasites.tensor_programs.interpret import interpret
from policies.programs.allow_list import ALLOWED
from tests.one_operation import HOSTILE, TARGETS, drawn, parameters_of, program_for

Step = tuple[str, tuple[tuple[int, ...], ...]]


class Recorded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation that reaches the library, with the shapes it is given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        shapes = tuple(tuple(value.shape) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor))
        self.steps.append((str(func), shapes))
        return func(*args, **(kwargs or {}))


def computed(name: str, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Each record's gradients by parameter, and its loss."""
    program = program_for(name)
    run = interpret(program)
    torch.manual_seed(0)
    record = (features, targets, *drawn(program, len(targets)))
    one = grad_and_value(lambda p, record: run(p, *record)[0])
    gradients, values = vmap(one, in_dims=(None, 0))(parameters_of(program), record)
    return {**gradients, "loss": values}


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_the_same_operations_run_on_the_same_shapes_whatever_a_record_holds(name: str) -> None:
    """Time that depends on values would tell who is there."""
    seen: list[list[Step]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for features, targets in ((HOSTILE, TARGETS), (torch.zeros_like(HOSTILE), torch.zeros_like(TARGETS))):
            with Recorded() as recorded:
                computed(name, features, targets)
            seen.append(recorded.steps)
    assert len(seen[0]) > 5
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_no_operation_reads_memory_that_it_did_not_write(name: str) -> None:
    """What was freed lies around as secrets of earlier records: filled with other rubbish, nothing may change."""
    results = []
    for rubbish in (float("nan"), 1e30):
        litter = [torch.full((size,), rubbish) for size in (1, 2, 4, 6, 7, 12, 24, 30, 42, 60, 64, 128, 256) * 40]
        del litter
        found = computed(name, torch.linspace(-2, 2, 30).reshape(5, 6), torch.arange(5))
        results.append({key: value.clone() for key, value in found.items()})
    for key, value in results[0].items():
        assert torch.equal(value.nan_to_num(0.25), results[1][key].nan_to_num(0.25)), key
