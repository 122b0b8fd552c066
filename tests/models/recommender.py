"""A recommender: what a person chose, as item numbers, and how much they would like the last of them."""

import torch
from torch import Tensor, nn

from researcher.plan import TrainingPlan


class Factors(nn.Module):
    """A person is the mean of the items chosen before; the rating is a product of factors."""

    def __init__(self, items: int, width: int) -> None:
        super().__init__()
        self.items, self.bias = nn.Embedding(items, width), nn.Embedding(items, 1)

    def forward(self, chosen: Tensor) -> Tensor:
        person, item = self.items(chosen[:, :-1]).mean(1), self.items(chosen[:, -1])
        return (person * item).sum(1) + self.bias(chosen[:, -1]).squeeze(1)


class Recommender(TrainingPlan):
    """Ratings as numbers."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Factors(500, 16)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().mean()

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"error": (output - target).square().clamp(0, 1)}
