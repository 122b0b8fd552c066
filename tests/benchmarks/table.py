"""The benchmark's rows with their goals and the peers' recorded figures, and how samples become a table and a JSON."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.table import Table


@dataclass(frozen=True)
class Recorded:
    """A figure of a peer, measured earlier on another day; `low` = `high` where it is one number."""

    peer: str
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """What is measured, in which unit, the goal (`most` or `least`), and what is on record of the peers."""

    key: str
    title: str
    unit: str
    goal: float
    better: Literal["lower", "higher"]
    recorded: tuple[Recorded, ...] = ()


@dataclass
class Measured:
    """Everything that one run of the benchmark found out, in the rows' units."""

    ours: dict[str, list[float]] = field(default_factory=dict)
    peers: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By row, by peer."""
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By row: parts, and whatever else explains a figure."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a row has no figure."""


ROWS = (
    Row(
        "round-1e3", "secure-averaged round, 3 sites, 1e3 parameters: overhead", "s", 0.15, "lower",
        (Recorded("Flower", 6.2, 6.2), Recorded("Flower SecAgg+", 24, 24), Recorded("Flower, simulated", 0.2, 0.2),
         Recorded("NVFLARE, simulated", 2.5, 2.5)),
    ),
    Row(
        "round-1e6", "the same, 1e6 parameters", "s", 0.35, "lower",
        (Recorded("Flower", 6.5, 6.5), Recorded("Flower SecAgg+", 28, 31), Recorded("Flower, simulated", 0.21, 0.21),
         Recorded("NVFLARE, simulated", 2.5, 2.5)),
    ),
    Row(
        "round-1e7", "the same, 1e7 parameters", "s", 2.0, "lower",
        (Recorded("Flower", 10.6, 10.6), Recorded("Flower SecAgg+", 33, 33), Recorded("NVFLARE, simulated", 3.5, 3.5)),
    ),
    Row("approval", "last approval → first sum, trainers warm", "s", 1.0, "lower"),
    Row(
        "start", "nothing running → first sum, approvals included", "s", 12.0, "lower",
        (Recorded("Flower", 5.7, 9.9), Recorded("Flower, simulated", 5.5, 5.5),
         Recorded("NVFLARE, simulated", 6.6, 8.1)),
    ),
    Row(
        "memory", "peak memory of all processes, demo", "GB", 1.5, "lower",
        (Recorded("Flower", 1.5, 2.8), Recorded("Flower, simulated", 1.0, 1.4),
         Recorded("Flower SecAgg+", 1.9, 3.4), Recorded("NVFLARE, simulated", 0.6, 2.1)),
    ),
    Row("relay", "relay: a blob of 1 GB through it", "MB/s", 150.0, "higher"),
    # On record are 87 ms and 1,020 ms (that one of 3 sites only) beside a floor of 9 ms.
    Row(
        "masking", "quantise and mask, 10 sites, 1e6 parameters", "× floor", 2.0, "lower",
        (Recorded("Flower SecAgg+", 9.7, 9.7), Recorded("Fed-BioMed", 113, 113)),
    ),
    Row("log", "an exported log of 10,000 entries: verify", "s", 5.0, "lower"),
    Row(
        "job-warm", "approved job, warm: approval in the database → first line of its code", "ms", 25, "lower",
        (Recorded("PySyft 0.10", 5600, 5600),),
    ),
    Row(
        "job-cold", "the same, no zygote running", "s", 2, "lower",
        (Recorded("PySyft 0.10", 5.6, 5.6),),
    ),
    Row("job-whole", "hello-world job: submit → result through the relay, an owner signing at once", "s", 0.5, "lower"),
    # Recorded: PySyft's sync reads every file in its folder, the private ones too.
    Row(
        "file-sync", "a private file of 2 GB: an idle sync", "ms", 1, "lower",
        (Recorded("PySyft 0.10", 10_000, 10_000),),
    ),
    Row("file-memory", "the same: most memory added", "MB", 10, "lower", (Recorded("PySyft 0.10", 3900, 3900),)),
    Row("steadiness", "an operation, its gradient: slowest ÷ fastest kind of record", "×", 1.2, "lower"),
    # One step's clipped sum, one thread, one record a unit.
    Row(
        "trainer-mlp", "private step: perceptron 30-64-1, 256 records", "× plain", 2.5, "lower",
        (Recorded("Opacus hooks", 5.9, 5.9), Recorded("Opacus ghost", 4.1, 4.1)),
    ),
    Row(
        "trainer-cnn", "the same: convolutions, 256 of 28 × 28", "× plain", 1.6, "lower",
        (Recorded("Opacus hooks", 3.1, 3.1), Recorded("Opacus ghost", 2.2, 2.2)),
    ),
    Row(
        "trainer-resnet", "ResNet-18 with group norms, 16 of 64 × 64", "× plain", 2.0, "lower",
        (Recorded("Opacus hooks", 7.1, 7.1), Recorded("Opacus ghost", 9.1, 9.1)),
    ),
    Row(
        "trainer-transformer", "transformer encoder of two layers, 64 of 32 tokens", "× plain", 1.8, "lower",
        (Recorded("Opacus hooks", 7.2, 7.2), Recorded("Opacus ghost", 8.3, 8.3)),
    ),
    Row(
        "trainer-lora", "MiniLM by LoRA, 16 of 64 tokens", "× plain", 1.1, "lower",
        (Recorded("Opacus hooks", 1.1, 1.1), Recorded("Opacus ghost", 1.7, 1.7)),
    ),
    Row("trainer-head", "MiniLM's head, its frozen body computed once", "× plain", 0.05, "lower"),
    Row(
        "trainer-recommender", "recommender, two tables of 8192 vectors, 256 pairs", "× plain", 2.0, "lower",
        (Recorded("Opacus hooks", 262, 262), Recorded("Opacus ghost", 10, 10)),
    ),
)  # fmt: skip


def chosen_rows(named: str) -> set[str]:
    """The rows whose keys are named, with commas between; «trainer» names every row whose key begins with `trainer-`.

    Raises:
        ValueError: a name is no row's.
    """
    chosen: set[str] = set()
    for name in named.split(","):
        found = {row.key for row in ROWS if row.key == name or row.key.startswith(f"{name}-")}
        if not found:
            raise ValueError(f"no such row: {name}")
        chosen |= found
    return chosen


def median(samples: Sequence[float]) -> float:
    """The middle sample."""
    return statistics.median(samples)


def headline(key: str, figures: Mapping[str, float]) -> float | None:
    """The figure that the goal is about: the relay's slower direction, masking ÷ floor, an auditor's wait, the
    least steady operation."""
    if key == "relay":
        return min(
            (value for name, value in figures.items() if name.startswith("large") and "MB/s" in name), default=None
        )
    return figures.get({"masking": "site: quantise and mask / floor", "log": "verify s", "steadiness": "worst ×"}[key])


def spread(samples: Sequence[float]) -> dict[str, float]:
    """The least and the most of a series, to stand beside its median."""
    return {"least": min(samples), "most": max(samples)}


def is_met(row: Row, value: float) -> bool:
    """Whether a figure reaches the row's goal."""
    return value <= row.goal if row.better == "lower" else value >= row.goal


def peer_figures(row: Row, measured: Measured) -> dict[str, tuple[str, float, float]]:
    """Each peer's «measured» or else «recorded», and its figure as low and high (one number: both the same)."""
    figures = {it.peer: ("recorded", it.low, it.high) for it in row.recorded}
    for peer, samples in measured.peers.get(row.key, {}).items():
        if samples:
            figures[peer] = ("measured", median(samples), median(samples))
    return figures


def as_table(rows: Sequence[Row], measured: Measured) -> Table:
    """The terminal's table: ours, the goal and whether it is met, and the peers, each labelled."""
    table = Table(title="Cloister beside its peers: medians, same machine", title_justify="left", show_lines=True)
    for column in ("What", "Cloister", "Goal", "Met", "Peers, and how many times ours"):
        table.add_column(column)
    for row in rows:
        samples = measured.ours.get(row.key)
        value = median(samples) if samples else None
        lines = []
        for peer, (label, low, high) in peer_figures(row, measured).items():
            ratio = "" if value is None or value <= 0 else f", {_span(low / value, high / value)}×"
            lines.append(f"{peer}: {_span(low, high)} {row.unit} ({label}){ratio}")
        table.add_row(
            row.title + _parts(measured.notes.get(row.key, {})),
            f"{_number(value)} {row.unit}" if value is not None else measured.missing.get(row.key, "not measured"),
            f"{'≤' if row.better == 'lower' else '≥'} {row.goal:g} {row.unit}",
            "–" if value is None else ("yes" if is_met(row, value) else "no"),
            "\n".join(lines),
        )
    return table


def as_json(rows: Sequence[Row], measured: Measured, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, each sample included."""
    entries = []
    for row in rows:
        samples = measured.ours.get(row.key, [])
        value = median(samples) if samples else None
        entries.append(
            {
                "key": row.key,
                "title": row.title,
                "unit": row.unit,
                "goal": row.goal,
                "better": row.better,
                "median": value,
                "samples": samples,
                "met": None if value is None else is_met(row, value),
                "missing": None if samples else measured.missing.get(row.key, "not measured"),
                "notes": measured.notes.get(row.key, {}),
                "peers": {
                    peer: {
                        "source": label,
                        "low": low,
                        "high": high,
                        "samples": measured.peers.get(row.key, {}).get(peer, []),
                    }
                    for peer, (label, low, high) in peer_figures(row, measured).items()
                },
            }
        )
    return {**facts, "rows": entries}


def _parts(notes: Mapping[str, Any]) -> str:
    shown = [f"{name} {_number(value)}" for name, value in notes.items() if isinstance(value, float)]
    return f"\n[dim]{', '.join(shown)}[/]" if shown else ""


def _span(low: float, high: float) -> str:
    return _number(low) if low == high else f"{_number(low)}-{_number(high)}"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
