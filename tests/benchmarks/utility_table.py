"""From accuracies by salt to the benchmark's table, its Markdown for docs/measured.md, and its JSON."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from rich.table import Table

from tests.benchmarks.utility_training import DELTA, Choice, Setting

GOAL = 0.94
GOAL_CELL: "CellKey" = ("breast cancer", "federated", 3.0)
GOAL_POINTS = 1.0
"""How far federated training may be behind pooled training with the same ε."""

CAPTION = (
    f"Exact accuracy on a fifth of the records, kept from every site: mean ± sd over splits by salt. δ = {DELTA:g}; "
    "no retries reserved; models and numbers differ by cell, as searched on other salts; "
    "the unit is a record; three sites of unequal size and skewed data; alone is the mean over sites, each by itself. "
    "In one process, without the relay and the masks, which change no sum. «no privacy» is plain gradient descent, "
    "which the product does not offer. «distributed» is federated with the less noise that gives every site's people "
    "this ε while two of the three sites are honest; in brackets stands their ε if all others collude. «recorded»: "
    "measured earlier, with other splits and models."
)
SETTINGS: tuple[Setting, ...] = get_args(Setting)

CellKey = tuple[str, Setting, float | None]
"""Data set, setting, ε (None: no privacy)."""


@dataclass(frozen=True)
class Cell:
    """The accuracies of one cell, one a salt, and how it was trained."""

    choice: Choice
    accuracies: Sequence[float]

    @property
    def mean(self) -> float:
        """Over salts."""
        return statistics.mean(self.accuracies)

    @property
    def deviation(self) -> float:
        """The sample's standard deviation over salts; 0 of a single one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else 0.0

    def __str__(self) -> str:
        promised = "" if self.choice.promised is None else f" ({self.choice.promised:g})"
        return f"{_share(self.mean)} ± {_share(self.deviation)}{promised}"


Cells = Mapping[CellKey, Cell]

RECORDED: Mapping[CellKey, str] = {
    ("breast cancer", "federated", None): ".973 ± .010",
    ("breast cancer", "federated", 8.0): ".969",
    ("breast cancer", "federated", 3.0): ".970",
    ("breast cancer", "federated", 1.0): ".955",
    ("breast cancer", "distributed", 8.0): ".967",
    ("breast cancer", "distributed", 3.0): ".966",
    ("breast cancer", "distributed", 1.0): ".957",
    ("breast cancer", "pooled", None): ".973 ± .010",
    ("breast cancer", "pooled", 8.0): ".971",
    ("breast cancer", "pooled", 3.0): ".971",
    ("breast cancer", "pooled", 1.0): ".963",
    ("digits", "federated", None): "CNN .986 ± .003",
    ("digits", "federated", 8.0): "CNN .933, linear .945",
    ("digits", "federated", 3.0): "CNN .867, linear .913",
    ("digits", "federated", 1.0): "CNN .563, linear .828",
    ("digits", "distributed", 8.0): "CNN .952",
    ("digits", "distributed", 3.0): "CNN .919",
    ("digits", "distributed", 1.0): "CNN .809",
    ("digits", "pooled", None): "CNN .987 ± .004",
    ("digits", "pooled", 8.0): "CNN .957",
    ("digits", "pooled", 3.0): "CNN .915",
    ("digits", "pooled", 1.0): "CNN .784",
}
"""What was on record before, of breast cancer by a perceptron 30-64-2."""


def met(cells: Cells) -> bool | None:
    """Whether the goal's cell reaches the goal; None where it was not measured."""
    cell = cells.get(GOAL_CELL)
    return None if cell is None else cell.mean >= GOAL


def goal_line(cells: Cells) -> str:
    """The goal in a sentence."""
    data_set, setting, epsilon = GOAL_CELL
    verdict = {None: "not measured", True: "met", False: "not met"}[met(cells)]
    got = f": {cells[GOAL_CELL]}" if GOAL_CELL in cells else ""
    return f"Goal: {data_set}, {setting}, ε = {epsilon:g}: at least {_share(GOAL)}. {verdict.capitalize()}{got}."


def behind(cells: Cells, data_set: str, epsilon: float | None, setting: Setting = "federated") -> float | None:
    """By how many points of 100 `setting` is behind pooled, on average; None where one of them was not measured."""
    measured, pooled = (cells.get((data_set, it, epsilon)) for it in (setting, "pooled"))
    return None if measured is None or pooled is None else 100 * (pooled.mean - measured.mean)


def gap_line(cells: Cells) -> str:
    """The goal of federated beside pooled in a sentence, with what misses it, and what does with distributed noise."""
    goal = f"within {GOAL_POINTS:g} point of pooled at the same ε, for each data set and ε"
    federated, distributed = _verdict(cells, "federated"), _verdict(cells, "distributed")
    return f"Goal: federated {goal}. {federated}. With distributed noise: {distributed}."


def _verdict(cells: Cells, setting: Setting) -> str:
    gaps = {(name, level): behind(cells, name, level, setting) for name, level in _levels(cells)}
    measured = {key: gap for key, gap in gaps.items() if gap is not None}
    missed = [f"{name}, {_level(level)}" for (name, level), gap in measured.items() if not _is_near(gap)]
    return f"Not met for {'; '.join(missed)}" if missed else "Met" if measured else "Not measured"


def _is_near(gap: float) -> bool:
    return gap <= GOAL_POINTS


def _levels(cells: Cells) -> list[tuple[str, float | None]]:
    return list(dict.fromkeys((data_set, epsilon) for data_set, _, epsilon in cells))


def _level(epsilon: float | None) -> str:
    return "no privacy" if epsilon is None else f"ε = {epsilon:g}"


def lines(cells: Cells) -> list[list[str]]:
    """Rows of text: data set, ε, each setting's figure, how far the federated ones are behind pooled, the record."""
    rows: list[list[str]] = []
    for data_set, epsilon in _levels(cells):
        keys: list[CellKey] = [(data_set, setting, epsilon) for setting in SETTINGS]
        recorded = [f"{key[1]} {RECORDED[key]}" for key in keys if key in RECORDED]
        gaps = [behind(cells, data_set, epsilon, setting) for setting in ("federated", "distributed")]
        rows.append(
            [
                data_set,
                "no privacy" if epsilon is None else f"{epsilon:g}",
                *(str(cells[key]) if key in cells else "–" for key in keys),
                *("–" if gap is None else f"{gap:.1f}, {'met' if _is_near(gap) else 'not met'}" for gap in gaps),
                "; ".join(recorded) or "–",
            ]
        )
    return rows


_BEHIND = f"points behind pooled (≤ {GOAL_POINTS:g})"
_HEADINGS = ("Data", "ε", *SETTINGS, f"federated: {_BEHIND}", "distributed", "Recorded")


def as_table(cells: Cells) -> Table:
    """The terminal's table."""
    table = Table(title="Accuracy under privacy", title_justify="left", caption=CAPTION, caption_justify="left")
    for heading in _HEADINGS:
        table.add_column(heading)
    for row in lines(cells):
        table.add_row(*row)
    return table


def as_markdown(cells: Cells) -> str:
    """The same table for docs/measured.md."""
    rows = [list(_HEADINGS), ["---"] * len(_HEADINGS), *lines(cells)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_json(cells: Cells, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, each salt's accuracy included."""
    entries = [
        {
            "data_set": data_set,
            "setting": setting,
            "epsilon": epsilon,
            "mean": cell.mean,
            "deviation": cell.deviation,
            "accuracies": list(cell.accuracies),
            "choice": dict(vars(cell.choice)),
            "recorded": RECORDED.get((data_set, setting, epsilon)),
        }
        for (data_set, setting, epsilon), cell in cells.items()
    ]
    data_set, setting, epsilon = GOAL_CELL
    goal = {"data_set": data_set, "setting": setting, "epsilon": epsilon, "least": GOAL, "met": met(cells)}
    gaps = [
        {
            "data_set": name,
            "setting": setting,
            "epsilon": level,
            "points": gap,
            "most": GOAL_POINTS,
            "met": _is_near(gap),
        }
        for name, level in _levels(cells)
        for setting in ("federated", "distributed")
        if (gap := behind(cells, name, level, setting)) is not None
    ]
    return {**facts, "delta": DELTA, "goal": goal, "behind_pooled": gaps, "caption": CAPTION, "cells": entries}


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
