"""`make bench`: every row on this machine in one run, interleaved with Flower where it is installed.

usage: python -m tests.benchmarks.run [--rows round-1e3,trainer,…] [--repeats 3] [--rounds 5] [--quick] [--output FILE]
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks import peers
from tests.benchmarks.bench_trainer import PREFIX, measure_trainer_row
from tests.benchmarks.job_rows import JOB_ROWS, measure_job_rows
from tests.benchmarks.memory import demo_peak
from tests.benchmarks.rounds import federation, measure_block
from tests.benchmarks.startup import PARAMETERS, approval_to_first_sum, nothing_to_first_sum
from tests.benchmarks.table import ROWS, Measured, as_json, as_table, chosen_rows, headline, median

_SIZES = {"round-1e3": 1_000, "round-1e6": 1_000_000, "round-1e7": 10_000_000}
_SCENE_ROWS = {*_SIZES, "approval", "start"}
_MODULES = {
    "relay": "tests.benchmarks.bench_relay",
    "masking": "tests.benchmarks.bench_masking",
    "log": "tests.benchmarks.bench_log",
    "steadiness": "tests.benchmarks.bench_steadiness",
}
_SECURE_SIZES = ("round-1e3", "round-1e6")

console = Console(highlight=False, width=max(120, Console().width))

Flower = dict[str, Callable[[int, int], peers.FlowerRun]]
"""What to run of Flower by name: parameters and rounds (its first one counts as start) → what it took."""


def run(rows: set[str], repeats: int, rounds: int, *, quick: bool) -> Measured:
    """Measure `rows`: `repeats` passes over all of them, so that what disturbs the machine disturbs all alike."""
    measured = Measured()
    flower = _flower_runs(quick) if peers.available() else {}
    if not flower:
        console.print("Flower is not installed («make bench-peers» does it): its figures are the recorded ones.")
    if rows & _SCENE_ROWS:
        _with_a_federation(rows, repeats, rounds, flower, measured)
    if "memory" in rows:
        _memory(measured)
    for key in sorted(rows & _MODULES.keys()):
        _module(key, measured)
    if rows & JOB_ROWS:
        console.print("jobs at one site, and a private file of 2 GB")
        measure_job_rows(rows, 6 if quick else 15 * repeats, measured)
    for key in [row.key for row in ROWS if row.key in rows and row.key.startswith(PREFIX)]:
        console.print(key)
        measure_trainer_row(key, rounds * repeats, measured)
        if key in measured.missing:
            console.print(f"{key} failed: {measured.missing[key]}", style="bold red")
    return measured


def _with_a_federation(rows: set[str], repeats: int, rounds: int, flower: Flower, measured: Measured) -> None:
    parts: dict[str, dict[str, list[float]]] = {}
    with federation() as (scene, ada):
        for repeat in range(repeats):
            for key in [it for it in _SIZES if it in rows]:
                console.print(f"pass {repeat + 1} of {repeats}: {key}")
                block = measure_block(scene, ada, _SIZES[key], rounds)
                local = statistics.median(block.local)
                measured.ours.setdefault(key, []).extend(it.wall - local for it in block.rounds)
                for name, values in {
                    "round s": [it.wall for it in block.rounds],
                    "local training s": block.local,
                    "until the last answer s": [it.site for it in block.rounds],
                    "opening the sum s": [it.opening for it in block.rounds],
                    "submission and checks s": [block.submission],
                }.items():
                    parts.setdefault(key, {}).setdefault(name, []).extend(values)
                _flower_rounds(flower, key, rounds, repeat, measured)
            if "approval" in rows:
                console.print(f"pass {repeat + 1} of {repeats}: approval")
                measured.ours.setdefault("approval", []).append(approval_to_first_sum(scene, ada))
            if "start" in rows:
                console.print(f"pass {repeat + 1} of {repeats}: start")
                scene.stop()
                steps = nothing_to_first_sum(scene)
                measured.ours.setdefault("start", []).append(steps["summed"])
                for name in ("relay", "submitted", "approved"):
                    parts.setdefault("start", {}).setdefault(f"{name} after s", []).append(steps[name])
    for key, named in parts.items():
        measured.notes[key] = {name: median(values) for name, values in named.items()}


def _flower_runs(quick: bool) -> Flower:
    """What is run of Flower. SecAgg+ takes minutes: it is left out of a quick run."""
    runs: Flower = {
        "Flower": lambda size, rounds: peers.deployed(size, rounds, secure=False),
        "Flower, simulated": peers.simulated,
    }
    if not quick:
        runs["Flower SecAgg+"] = lambda size, _rounds: peers.deployed(size, 2, secure=True)
    return runs


def _flower_rounds(flower: Flower, key: str, rounds: int, repeat: int, measured: Measured) -> None:
    """Flower's turn at one size: deployed in each pass, the others in the first only."""
    size = _SIZES[key]
    for name, work in flower.items():
        if (repeat > 0 and name != "Flower") or (name == "Flower SecAgg+" and key not in _SECURE_SIZES):
            continue
        try:
            found = work(size, rounds + 1)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            console.print(f"{name} could not be measured at {size} parameters: {error}")
            continue
        measured.peers.setdefault(key, {}).setdefault(name, []).extend(found.rounds)
        if size == PARAMETERS:
            measured.peers.setdefault("start", {}).setdefault(name, []).append(found.start_to_first_round)
            # Its client of the benchmark needs no torch, as any that trains would: beside the demo that must be said.
            measured.peers.setdefault("memory", {}).setdefault(f"{name}, no torch", []).append(found.peak_bytes / 1e9)


def _memory(measured: Measured) -> None:
    console.print("the demo's memory")
    peak = demo_peak()
    measured.ours["memory"] = [peak.bytes / 1e9]
    measured.notes["memory"] = {"processes at the peak": float(peak.processes), "samples": peak.samples}


def _module(key: str, measured: Measured) -> None:
    """A benchmark of its own, whose `measure()` gives figures by name."""
    name = _MODULES[key]
    try:
        measure = importlib.import_module(name).measure
    except (ModuleNotFoundError, AttributeError):
        measured.missing[key] = f"not measured: {name} has no measure() here"
        return
    console.print(name)
    figures: dict[str, float] = measure()
    measured.notes[key] = figures
    chosen = headline(key, figures)
    if chosen is None:
        measured.missing[key] = f"not measured: {name} gives {', '.join(figures)}"
    else:
        measured.ours[key] = [chosen]


def facts() -> dict[str, Any]:
    """Machine, date and commit."""
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": told.stdout.strip() or "unknown",
        "machine": {
            "processor": next(
                (it.split(":")[1].strip() for it in processors if it.startswith("model name")), "unknown"
            ),
            "cores": os.cpu_count(),
            "memory_gb": round(int(memory) / 1e6, 1),
            "system": platform.platform(),
            "python": platform.python_version(),
            "load_before": os.getloadavg(),
        },
        "flower": peers.version() if peers.available() else None,
    }


def main(arguments: Iterable[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure Cloister beside its peers.")
    parser.add_argument(
        "--rows", default=",".join(row.key for row in ROWS), help="keys, or their first words, with commas"
    )
    parser.add_argument("--repeats", type=int, default=3, help="passes over all rows")
    parser.add_argument("--rounds", type=int, default=5, help="rounds a pass and size")
    parser.add_argument("--quick", action="store_true", help="one pass, and no SecAgg+, which takes minutes a round")
    parser.add_argument("--output", type=Path, default=Path("bench-output/bench.json"))
    given = parser.parse_args(None if arguments is None else list(arguments))
    try:
        wanted = chosen_rows(given.rows)
    except ValueError as error:
        parser.error(str(error))
    about = facts()
    # Whatever ends the benchmark ends the processes that it started, which only unwinding does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    measured = run(wanted, 1 if given.quick else given.repeats, given.rounds, quick=given.quick)
    shown = [row for row in ROWS if row.key in wanted]
    console.print(as_table(shown, measured))
    load = ", ".join(f"{it:.1f}" for it in about["machine"]["load_before"])
    console.print(
        f"{about['machine']['processor']}, {about['machine']['cores']} cores; load before the run {load}; "
        f"commit {about['commit']}. «recorded»: measured earlier, elsewhere."
    )
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(as_json(shown, measured, about), indent=2, ensure_ascii=False))
    console.print(f"Every sample: {given.output}")


if __name__ == "__main__":
    main()
