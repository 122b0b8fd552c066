"""What privacy costs in accuracy: ten splits of two data sets, alone, federated and pooled, at four privacy levels.

usage: python -m tests.benchmarks.utility [--salts N] [--output FILE]      (default: ten; bench-output/utility.json)
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks.run import facts
from tests.benchmarks.utility_choices import CHOICES
from tests.benchmarks.utility_data import DATA_SETS
from tests.benchmarks.utility_table import Cell, CellKey, as_json, as_markdown, as_table, gap_line, goal_line
from tests.benchmarks.utility_training import Choice, accuracy

SALTS = tuple(range(1, 11))
"""None of those on which the choices were made."""

_PROCESSES = 2
console = Console(highlight=False, width=max(120, Console().width))


def accuracies(data_set: str, salt: int, choices: Mapping[CellKey, Choice]) -> dict[CellKey, float]:
    """Every cell of one data set at one salt."""
    with DATA_SETS[data_set](salt) as split:
        return {
            (name, setting, epsilon): accuracy(split, setting, choice, epsilon)
            for (name, setting, epsilon), choice in choices.items()
            if name == data_set
        }


def measure(choices: Mapping[CellKey, Choice], salts: Sequence[int]) -> dict[CellKey, Cell]:
    """Every cell at every salt, on two processes; each split's accuracies are shown as soon as it is done."""
    tasks = [(data_set, salt) for data_set in dict.fromkeys(name for name, _, _ in choices) for salt in salts]
    found: dict[tuple[str, int], dict[CellKey, float]] = {}
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool,
    ):
        shown = progress.add_task("data sets × salts", total=len(tasks))
        running = {pool.submit(accuracies, data_set, salt, choices): (data_set, salt) for data_set, salt in tasks}
        for done in as_completed(running):
            data_set, salt = running[done]
            found[data_set, salt] = done.result()
            console.print(f"{data_set}, salt {salt}: {_in_words(found[data_set, salt])}", style="dim", soft_wrap=True)
            progress.advance(shown)
    return {key: Cell(choice, [found[key[0], salt][key] for salt in salts]) for key, choice in choices.items()}


def _in_words(values: Mapping[CellKey, float]) -> str:
    levels = {
        (setting, "no privacy" if level is None else f"ε={level:g}"): it for (_, setting, level), it in values.items()
    }
    return ", ".join(f"{setting} {level} {value:.4f}" for (setting, level), value in levels.items())


def main(arguments: Iterable[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure what privacy costs in accuracy.")
    parser.add_argument("--salts", type=int, default=len(SALTS), help="how many splits, for development")
    parser.add_argument("--output", type=Path, default=Path("bench-output/utility.json"))
    given = parser.parse_args(None if arguments is None else list(arguments))
    if not 1 <= given.salts <= len(SALTS):
        parser.error(f"--salts is {given.salts}; it goes from 1 to {len(SALTS)}")
    about = facts()
    os.environ["OMP_NUM_THREADS"] = "1"
    began = time.monotonic()
    cells = measure(CHOICES, SALTS[: given.salts])
    seconds = time.monotonic() - began
    console.print(as_table(cells))
    console.print(goal_line(cells))
    console.print(gap_line(cells))
    console.print(f"{given.salts} salts, {seconds:.0f} s, commit {about['commit']}.")
    given.output.parent.mkdir(parents=True, exist_ok=True)
    report = as_json(cells, {**about, "seconds": seconds, "salts": list(SALTS[: given.salts])})
    given.output.write_text(json.dumps(report, indent=2, ensure_ascii=False))
    markdown = given.output.with_suffix(".md")
    markdown.write_text(f"{as_markdown(cells)}\n\n{goal_line(cells)}\n{gap_line(cells)}\n")
    console.print(f"Every accuracy: {given.output}; the table for docs/measured.md: {markdown}")


if __name__ == "__main__":
    main()
