"""`make bench`: every row on this machine in one run, interleaved with Flower where it is installed.

usage: python -m tests.benchmarks.run [--rows round-1e3,start,…] [--repeats 3] [--rounds 5] [--quick] [--output FILE]
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks import peers
from tests.benchmarks.table import ROWS, Measured, as_json, as_table, median

_SIZES = {"round-1e3": 1_000, "round-1e6": 1_000_000, "round-1e7": 10_000_000}
_SCENE_ROWS = {*_SIZES, "approval", "start"}
_MODULES = {"relay": "tests.benchmarks.bench_relay", "masking": "tests.benchmarks.bench_masking"}
_SECURE_SIZES = ("round-1e3", "round-1e6")

console = Console(highlight=False)


def run(rows: set[str], repeats: int, rounds: int) -> Measured:
    """Measure `rows`: `repeats` passes over all of them, so that what disturbs the machine disturbs all alike."""
    measured = Measured()
    beside = peers.available()
    if not beside:
        console.print("Flower is not installed («make bench-peers» does it): its figures are the recorded ones.")
    if rows & _SCENE_ROWS:
        _with_a_federation(rows, repeats, rounds, beside, measured)
    if "memory" in rows:
        _memory(measured)
    for key in sorted(rows & _MODULES.keys()):
        _module(key, measured)
    return measured


def _with_a_federation(rows: set[str], repeats: int, rounds: int, beside: bool, measured: Measured) -> None:
    from tests.benchmarks.rounds import federation, measure_block
    from tests.benchmarks.startup import approval_to_first_sum, nothing_to_first_sum

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
                if beside:
                    _flower_rounds(key, rounds, repeat, measured)
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
                if beside and not rows & _SIZES.keys():
                    _flower_rounds("round-1e3", 2, repeat, measured)
    for key, named in parts.items():
        measured.notes[key] = {name: median(values) for name, values in named.items()}


def _flower_rounds(key: str, rounds: int, repeat: int, measured: Measured) -> None:
    """Flower's turn at one size: deployed each time; SecAgg+ (minutes) and the simulation in the first pass only."""
    size = _SIZES[key]
    todo: dict[str, Callable[[], peers.FlowerRun]] = {"Flower": lambda: peers.deployed(size, rounds + 1, secure=False)}
    if repeat == 0:
        todo["Flower, simulated"] = lambda: peers.simulated(size, rounds + 1)
        if key in _SECURE_SIZES:
            todo["Flower SecAgg+"] = lambda: peers.deployed(size, 2, secure=True)
    for name, work in todo.items():
        try:
            found = work()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            console.print(f"{name} could not be measured at {size} parameters: {error}")
            continue
        measured.peers.setdefault(key, {}).setdefault(name, []).extend(found.rounds)
        if key == "round-1e3":
            measured.peers.setdefault("start", {}).setdefault(name, []).append(found.start_to_first_round)
        if key == "round-1e3":
            measured.peers.setdefault("memory", {}).setdefault(name, []).append(found.peak_bytes / 1e9)


def _memory(measured: Measured) -> None:
    from tests.benchmarks.memory import demo_peak

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


def headline(key: str, figures: dict[str, float]) -> float | None:
    """The figure that the row's goal is about: the relay's slower direction; a site's quantising and masking ÷ floor."""
    if key == "relay":
        return min((value for name, value in figures.items() if "MB/s" in name), default=None)
    return figures.get("site: quantise and mask / floor")


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
    parser.add_argument("--rows", default=",".join(row.key for row in ROWS), help="keys, with commas between")
    parser.add_argument("--repeats", type=int, default=3, help="passes over all rows")
    parser.add_argument("--rounds", type=int, default=5, help="rounds a pass and size")
    parser.add_argument("--quick", action="store_true", help="one pass of two rounds, for development")
    parser.add_argument("--output", type=Path, default=Path("bench-output/bench.json"))
    given = parser.parse_args(None if arguments is None else list(arguments))
    wanted = set(given.rows.split(","))
    unknown = wanted - {row.key for row in ROWS}
    if unknown:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    about = facts()
    measured = run(wanted, 1 if given.quick else given.repeats, 2 if given.quick else given.rounds)
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
