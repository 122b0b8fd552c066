"""The trainer's rows: one private step beside a plain one and both of Opacus' modes, each row in a process of its own.

A step is the batch's sum of gradients, each record's shortened to one norm; noise is left out, for it costs all alike.
Where a side does not run, or computes something else, its row says so.
"""

import json
import subprocess
import sys
from typing import Any

from tests.benchmarks.table import Measured
from tests.demo.commands import environment

PREFIX = "trainer-"
THREADS = 1
PLAIN, OURS, HOOKS, GHOST = "plain", "Cloister", "Opacus hooks", "Opacus ghost"
SIDES = (PLAIN, OURS, HOOKS, GHOST)
"""In the order in which they take turns."""

_COMMAND = (sys.executable, "-m", "tests.benchmarks.trainer_row")
_SECONDS = 1800


class FailedError(Exception):
    """A process of the benchmark ended without a figure; the text is the last it said."""


def measure_trainer_row(key: str, rounds: int, measured: Measured) -> None:
    """Add one row, `trainer-…`: ratios to plain of all that was timed, round by round, and the memory of each side."""
    model = key.removeprefix(PREFIX)
    try:
        seconds: dict[str, list[float]] = _child(model, str(rounds))
        memory: dict[str, int] = {side: _child(model, "memory", side) for side in SIDES}
    except FailedError as error:
        measured.missing[key] = f"not measured: {error}"
        return
    add_figures(key, seconds, memory, measured)


def add_figures(key: str, seconds: dict[str, list[float]], memory: dict[str, int], measured: Measured) -> None:
    """Ratios of a round's figures, so that what disturbs the machine meanwhile disturbs both; and the figures."""
    for side, samples in seconds.items():
        ratios = [value / beside for value, beside in zip(samples, seconds[PLAIN], strict=True)]
        if side == OURS:
            measured.ours[key] = ratios
        elif side != PLAIN:
            measured.peers.setdefault(key, {})[side] = ratios
    measured.notes[key] = {
        **{f"{side} MB": size / 1e6 for side, size in memory.items()},
        "plain ms": 1e3 * sorted(seconds[PLAIN])[len(seconds[PLAIN]) // 2],
        "threads": THREADS,
        "seconds": seconds,
    }


def _child(*arguments: str) -> Any:
    """What one process of its own printed."""
    command = [*_COMMAND, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"{' '.join(arguments)} took longer than {_SECONDS} s") from error
    if done.returncode != 0:
        raise FailedError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return json.loads(done.stdout)
