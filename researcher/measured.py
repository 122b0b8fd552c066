"""What a plan measures on holdout records: its metrics, and the scores that are counted in histograms."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from policies.errors import InvalidInputError
from policies.programs.format import WORD
from policies.terms import score_outputs
from researcher.plan import TrainingPlan

_MAXIMUM_METRICS = 64

Metrics = Callable[[Tensor, Tensor], Mapping[str, Tensor]]
Scores = Callable[[Tensor, Tensor], Mapping[str, tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class MeasuredNames:
    """The names of a plan's metrics and of its scores."""

    metrics: tuple[str, ...]
    scores: tuple[str, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The results of the metrics program, in its order: the metrics, then each score and its label."""
        return (*self.metrics, *(output for name in self.scores for output in score_outputs(name)))

    @property
    def labels(self) -> tuple[str, ...]:
        """Those results that are labels."""
        return tuple(score_outputs(name)[1] for name in self.scores)


def measured_values(metrics: Metrics, scores: Scores, output: Tensor, target: Tensor) -> dict[str, Tensor]:
    """What the metrics program computes, by its results' names, of a plan's two methods."""
    values = dict(metrics(output, target))
    for name, pair in scores(output, target).items():
        values.update(zip(score_outputs(name), pair, strict=True))
    return values


def measured_names(plan: TrainingPlan, output: Tensor, target: Tensor) -> MeasuredNames:
    """Look at what the plan measures on one record, as ordinary torch.

    Raises:
        InvalidInputError: it is not what `TrainingPlan` says, or a name does not fit.
    """
    metrics, scores = plan.metrics(output, target), plan.scores(output, target)
    if not isinstance(metrics, dict) or not 1 <= len(metrics) <= _MAXIMUM_METRICS:
        raise InvalidInputError(f"The plan's metrics must return a dict of 1 to {_MAXIMUM_METRICS} named tensors.")
    for name, value in metrics.items():
        if not isinstance(name, str) or not re.match(WORD, name):
            raise InvalidInputError(f"The metric name {name!r} must be lower-case letters, digits and underscores.")
        if not _is_one_number(value):
            raise InvalidInputError(f"The metric {name!r} must be a tensor: a mean over the batch, or [B] values.")
    if not isinstance(scores, dict):
        raise InvalidInputError("The plan's scores must return a dict of named pairs of tensors: score and label.")
    for name, pair in scores.items():
        if not isinstance(name, str) or not all(re.match(WORD, output) for output in score_outputs(name)):
            raise InvalidInputError(f"The score name {name!r} must be lower-case letters, digits and underscores.")
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(_is_one_number(value) for value in pair):
            raise InvalidInputError(f"The score {name!r} must be two tensors: scores and labels, [B] each.")
        if any(taken in metrics for taken in (name, *score_outputs(name))):
            raise InvalidInputError(
                f"The score {name!r} gives the results {' and '.join(score_outputs(name))}, and a metric has one of "
                "these names, or the score's own; rename the score."
            )
    return MeasuredNames(tuple(metrics), tuple(scores))


def _is_one_number(value: object) -> bool:
    return isinstance(value, Tensor) and value.numel() == 1
