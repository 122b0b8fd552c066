"""What one round showed its researcher, as it is kept in the state file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from researcher.curves import ScoreCurve
from researcher.estimates import Estimate


@dataclass(frozen=True)
class RoundRecord:
    """What round `round` showed of model `round` − 1 on holdout units, noised, and how long it took.

    `metrics` are means and `curves` scores' histograms, both by name; None if the model was not measured.
    """

    round: int
    metrics: Mapping[str, Estimate] | None
    curves: Mapping[str, ScoreCurve] | None
    site_seconds: float
    sum_seconds: float

    def figure(self, name: str) -> Estimate | None:
        """The metric of this name, or the AUROC of the score; None if it was not measured, or drowned in the noise."""
        if self.metrics is None or self.curves is None:
            return None
        return self.curves[name].auroc if name in self.curves else self.metrics.get(name)

    def as_json(self) -> dict[str, Any]:
        """Plain values for the state file."""
        return {
            "round": self.round,
            "metrics": _as_json(self.metrics),
            "curves": _as_json(self.curves),
            "site_seconds": self.site_seconds,
            "sum_seconds": self.sum_seconds,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Back from the state file; in an old one metrics are plain numbers, and nothing is said of curves."""
        metrics = entry["metrics"]
        curves = entry.get("curves", None if metrics is None else {})
        return cls(
            entry["round"],
            None if metrics is None else {name: _estimate(it) for name, it in metrics.items()},
            None
            if curves is None
            else {name: ScoreCurve.model_validate(it, strict=False) for name, it in curves.items()},
            entry["site_seconds"],
            entry["sum_seconds"],
        )


def read_history(text: str) -> tuple[RoundRecord, ...]:
    """The rounds that the state file's text holds."""
    return tuple(RoundRecord.from_json(entry) for entry in json.loads(text))


def _estimate(stored: Any) -> Estimate:
    return Estimate(value=stored, noise=None) if isinstance(stored, float) else Estimate.model_validate(stored)


def _as_json(measured: Mapping[str, Estimate] | Mapping[str, ScoreCurve] | None) -> dict[str, Any] | None:
    return None if measured is None else {name: it.model_dump(mode="json") for name, it in measured.items()}
