"""One row of the trainer's benchmark, in a process of its own: checked, then timed in turns; or one side's memory.

usage: python -m tests.benchmarks.trainer_row MODEL ROUNDS       (seconds of each side, as JSON)
       python -m tests.benchmarks.trainer_row MODEL memory SIDE  (bytes that SIDE's step adds, as JSON)

Seconds are the process' CPU time: with one thread, what the clock would show on an idle machine, and nearly that on a
busy one.
"""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tests.benchmarks.bench_trainer import GHOST, HOOKS, OURS, PLAIN, SIDES, THREADS
from tests.benchmarks.trainer_models import MODELS, Model
from tests.benchmarks.trainer_ours import cloister
from tests.benchmarks.trainer_peers import Step, ghost, hooks, one_by_one, plain

_STEPS = {PLAIN: plain, OURS: cloister, HOOKS: hooks, GHOST: ghost}
_LEAST_SECONDS = 0.02


def seconds(model: Model, rounds: int) -> dict[str, list[float]]:
    """Seconds of a step, `rounds` of each side, the sides taking turns; fast ones are the mean of several steps.

    Raises:
        ValueError: a side's sum is not what plain torch gives record by record.
    """
    steps = {name: _STEPS[name](model) for name in SIDES}
    expected = one_by_one(model)
    for name in steps.keys() - {PLAIN}:
        require_agreement(name, steps[name](), expected, model.tolerance)
    calls = {name: max(1, round(_LEAST_SECONDS / _timed(step, 1))) for name, step in steps.items()}
    found: dict[str, list[float]] = {name: [] for name in steps}
    gc.disable()
    for _ in range(rounds):
        for name, step in steps.items():
            found[name].append(_timed(step, calls[name]))
        gc.collect()
    return found


def require_agreement(name: str, got: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> None:
    """Refuse to time what computes something else: off by more than `tolerance` of the sum's length, over all of it.

    Raises:
        ValueError: it does, or is about other parameters.
    """
    if got.keys() != expected.keys():
        raise ValueError(f"{name} has gradients of other parameters: {sorted(got.keys() ^ expected.keys())[:4]}")
    error = _length({key: got[key] - expected[key] for key in expected}) / _length(expected)
    if not error <= tolerance:
        raise ValueError(f"{name}'s clipped sum is off by {error:.1e} of its length")


def added_bytes(model: Model, side: str) -> int:
    """The most memory that steps of one side take beyond what lies there before the first.

    What the library loads at first use is no step's: a batch of two has gone the same way before.
    """
    _STEPS[side](replace(model, batch=2))()
    step = _STEPS[side](model)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    for _ in range(2):
        step()
    return _status("VmHWM") - before


def _timed(step: Step, calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        step()
    return (time.process_time() - began) / calls


def _length(gradients: Mapping[str, Tensor]) -> float:
    return float(torch.stack([it.double().square().sum() for it in gradients.values()]).sum().sqrt())


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def main(key: str, *rest: str) -> None:
    """The command line."""
    torch.set_num_threads(THREADS)
    torch.set_flush_denormal(True)
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print must not come between
    model = MODELS[key]
    found = added_bytes(model, rest[1]) if rest[0] == "memory" else seconds(model, int(rest[0]))
    print(json.dumps(found), file=output, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
