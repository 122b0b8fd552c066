"""Training plans for the system tests: two networks that export, and two plans that must not."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from researcher.plan import TrainingPlan

METRIC = "share_told_right"


class SmallPlan(TrainingPlan):
    """A network 30-64-1 of 2049 parameters: enough bytes a vector for a chi-square test, and trained in no time."""

    def model(self) -> nn.Module:
        """Thirty measurements to one logit."""
        torch.manual_seed(11)
        return nn.Sequential(nn.Linear(30, 64), nn.Tanh(), nn.Linear(64, 1))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy."""
        return functional.binary_cross_entropy_with_logits(output.squeeze(-1), target.float())

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share that is told right."""
        return {METRIC: ((output.squeeze(-1) > 0).long() == target).float()}


class WidePlan(SmallPlan):
    """A network 30-1400-1 of 44801 parameters: no letter holds it, and the trainer gives it in two blocks."""

    def model(self) -> nn.Module:
        """Thirty measurements to one logit."""
        torch.manual_seed(11)
        return nn.Sequential(nn.Linear(30, 1400), nn.Tanh(), nn.Linear(1400, 1))


class BatchNormPlan(SmallPlan):
    """Its model mixes the records of a batch."""

    def model(self) -> nn.Module:
        """With batch statistics."""
        return nn.Sequential(nn.Linear(30, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))


class PeekingPlan(SmallPlan):
    """Its loss decides in Python on a record's value."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Twice as dear where the model says yes."""
        plain = super().loss(output, target)
        return plain * 2 if output.sum() > 0 else plain
