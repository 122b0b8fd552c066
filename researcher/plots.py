"""Pictures of what was measured: every figure against the rounds, and each score's ROC and reliability at the end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from researcher.curves import ScoreCurve
from researcher.estimates import Estimate
from researcher.round_record import RoundRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = Mapping[str, Mapping[int, Estimate]]
"""By what it is called, then by the number of the global model."""


def figures_of(history: Sequence[RoundRecord]) -> Figures:
    """All metrics and AUROCs that were measured."""
    found: dict[str, dict[int, Estimate]] = {}
    for record in history:
        for name in (*(record.metrics or ()), *(record.curves or ())):
            figure = record.figure(name)
            if figure is not None:
                label = f"AUROC of {name}" if name in (record.curves or ()) else name
                found.setdefault(label, {})[record.round - 1] = figure
    return found


def draw_measurements(path: Path, title: str, history: Sequence[RoundRecord]) -> None:
    """Draw all figures with their noise, and below them the curves of the newest model that was measured, as a PNG."""
    from matplotlib.figure import Figure  # takes longer to import than all else here

    curves: Mapping[str, ScoreCurve] = next((it.curves for it in reversed(history) if it.curves), {})
    figure = Figure(figsize=(7, 4 + 3.5 * bool(curves)), layout="constrained")
    grid = figure.add_gridspec(2 if curves else 1, 2)
    _draw_rounds(figure.add_subplot(grid[0, :]), title, figures_of(history))
    if curves:
        _draw_roc(figure.add_subplot(grid[1, 0]), curves)
        _draw_reliability(figure.add_subplot(grid[1, 1]), curves)
    figure.savefig(path, format="png", dpi=150)


def _draw_rounds(axes: "Axes", title: str, figures: Figures) -> None:
    for label, by_model in figures.items():
        values, noises = ([getattr(it, part) for it in by_model.values()] for part in ("value", "noise"))
        axes.errorbar(list(by_model), values, noises, marker="o", capsize=3, label=label)
    axes.set(xlabel="global model (round)", ylabel="on holdout units", ylim=(0, 1.02), title=title)
    axes.legend()


def _draw_roc(axes: "Axes", curves: Mapping[str, ScoreCurve]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, curve in curves.items():
        axes.plot(*curve.roc(), marker=".", label=f"{name}: {curve.auroc}")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC and its area")
    axes.legend()


def _draw_reliability(axes: "Axes", curves: Mapping[str, ScoreCurve]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, curve in curves.items():
        points = curve.reliability()
        observed = [it.observed for it in points]
        axes.errorbar(
            [it.predicted for it in points],
            [it.value for it in observed],
            [it.noise or 0.0 for it in observed],
            marker="o",
            capsize=3,
            label=f"{name}: {curve.calibration_error}",
        )
    axes.set(xlabel="mean score", ylabel="share labelled 1", ylim=(0, 1.02), title="Reliability and its error")
    axes.legend()
