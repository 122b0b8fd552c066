"""A training plan of any size with as little to compute as there can be: what is measured is all that is around it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from researcher import TrainingPlan

FEATURES = 4


class WidePlan(TrainingPlan):
    """One linear layer of `parameters` parameters (a multiple of 5), whose outputs are averaged to one prediction."""

    def __init__(self, parameters: int) -> None:
        self._outputs = parameters // 5

    def model(self) -> nn.Module:
        """Four features to all outputs."""
        torch.manual_seed(3)
        return nn.Linear(4, self._outputs)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of the mean output."""
        return functional.mse_loss(output.mean(-1), target)

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """How near the mean output is."""
        return {"nearness": (1 - (output.mean(-1) - target).abs()).clamp(0, 1)}
