"""Logistic regression on columns."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from researcher.plan import TrainingPlan


class LogisticRegression(TrainingPlan):
    """Yes or no, from 30 columns."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Linear(30, 1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(output.squeeze(1), target.float())

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"accuracy": ((output.squeeze(1) > 0) == (target == 1)).float()}
