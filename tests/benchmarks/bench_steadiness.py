"""How far the time of a step follows the values it is given: `python -m tests.benchmarks.bench_steadiness`, one core.

For each operation of the allow-list the tape of its gradients, replayed on records of all kinds: the kind that takes
longest over the kind that takes least, each by its best run.
"""

import json
import math
import sys
import time
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from datasites.tensor_programs.interpret import interpret
from datasites.training.recording import record
from datasites.training.tape import Form, Tape
from policies.programs.allow_list import ALLOWED
from tests.one_operation import WIDTH, drawn, parameters_of, program_for

RECORDS, REPEATS = 4000, 25


def kinds() -> dict[str, Tensor]:
    """Features of records by what they are, each float32 [records, width]."""
    shape = (RECORDS, WIDTH)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    constant = (0.0, 1.0, -1.0, 100.0, -100.0, 1e30, -1e30, 1e-30, 1e-40, math.inf, -math.inf, math.nan)
    return {
        "noise": noise,
        "positive": noise.abs() + 0.5,
        "negative": -noise.abs() - 0.5,
        "now and then no number": torch.where(noise > 0, noise, math.nan),
        **{f"{value:g}": torch.full(shape, value) for value in constant},
    }


def gradients_of(name: str) -> tuple[Tape, list[Tensor], list[Tensor]]:
    """The tape of an operation's gradients, and what it takes before and behind the records' features."""
    program = program_for(name)
    run, parameters = interpret(program), {**parameters_of(program), "w": torch.ones(1, WIDTH)}
    after = [torch.arange(RECORDS) % WIDTH, *drawn(program, RECORDS)]

    def gradients(*given: Tensor) -> list[Tensor]:
        values, of_records = dict(zip(parameters, given, strict=False)), given[len(parameters) :]
        one = grad_and_value(lambda values, it: run(values, *it)[0])
        found, losses = vmap(one, in_dims=(None, 0))(values, of_records)
        return [*found.values(), losses]

    forms = [Form(tuple(it.shape), it.dtype) for it in (*parameters.values(), torch.zeros(RECORDS, WIDTH), *after)]
    return record(gradients, *forms), [*parameters.values()], after


def seconds_by_kind(name: str, features: Mapping[str, Tensor]) -> dict[str, float]:
    """The best of some runs by kind, which take turns."""
    tape, before, after = gradients_of(name)
    best = dict.fromkeys(features, math.inf)
    for _ in range(REPEATS):
        for kind, it in features.items():
            began = time.process_time()
            tape.replay(*before, it, *after)
            best[kind] = min(best[kind], time.process_time() - began)
    return best


def measure() -> dict[str, float]:
    """The worst factor of all operations, and those of each."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    features, factors = kinds(), dict[str, float]()
    for name in sorted(ALLOWED):
        found = seconds_by_kind(name, features)
        factors[name] = max(found.values()) / min(found.values())
    return {"worst ×": max(factors.values()), **dict(sorted(factors.items(), key=lambda it: -it[1]))}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
