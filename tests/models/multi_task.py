"""Several tasks over one body: a number, and whether two things hold, all in one target [3]."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from researcher.plan import TrainingPlan


class Heads(nn.Module):
    """One body, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 16), nn.SiLU())
        self.number, self.holds = nn.Linear(16, 1), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(x)
        return self.number(hidden).squeeze(1), self.holds(hidden)


class MultiTask(TrainingPlan):
    """The sum of a squared error and two cross entropies."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Heads()

    def loss(self, output: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        number, holds = output
        yes = (target[:, 1:] > 0).float()
        return functional.mse_loss(number, target[:, 0]) + functional.binary_cross_entropy_with_logits(holds, yes)

    def metrics(self, output: tuple[Tensor, Tensor], target: Tensor) -> dict[str, Tensor]:
        number, holds = output
        return {
            "near": ((number - target[:, 0]).abs() < 0.5).float(),
            "right": ((holds > 0) == (target[:, 1:] > 0)).float().mean(1),
        }
