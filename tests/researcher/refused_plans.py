"""Plans that no tensor program can mean, as people write them; the comment «HERE» stands on the line to be named."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.classification import Classification


class Layer(nn.Module):
    """One linear layer, and what a subclass makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class Plan(Classification):
    """A plan around one module."""

    module: type[nn.Module] = Layer

    def model(self) -> nn.Module:
        return self.module()


class Branching(Layer):
    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if x.sum() > 0:  # HERE
            return x
        return -x


class Reading(Layer):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * x.abs().max().item()  # HERE


class Masking(Layer):
    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        return x + x[x > 0].sum()  # HERE


class Remembering(Layer):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(5))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x.sum(0)  # HERE
        return self.linear(x)


class Overwriting(Layer):
    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2)  # HERE
        return self.linear(x)


class Sorting(Layer):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).sort(1).values  # HERE


class Recurring(Layer):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(5, 3, num_layers=2, dropout=0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.memory(x.unsqueeze(0))[0][0]  # HERE


class Normalised(Plan):
    def model(self) -> nn.Module:
        return nn.Sequential(
            nn.Linear(5, 8),
            nn.BatchNorm1d(8),  # HERE
            nn.Linear(8, 3),
        )


class Contrastive(Plan):
    def loss(self, output: Tensor, target: Tensor) -> Tensor:  # HERE
        near = output @ output.T
        return functional.cross_entropy(near, torch.arange(len(output))) + output.mean()


class BranchingLoss(Plan):
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        if target.sum() > 0:  # HERE
            return output.mean()
        return super().loss(output, target)


class SortingLoss(Plan):
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        hardest = output.topk(2, dim=1).values  # HERE
        return hardest.mean()


class RoundingMetrics(Plan):
    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        right = (output.argmax(1) == target).float()
        return {"accuracy": right, "median": right.median()}  # HERE


class UnevenMetrics(Plan):
    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:  # HERE
        return {"share": (output.argmax(1) == target).float().sum() / 7}


def around(module: type[nn.Module]) -> Plan:
    """The plan of one module."""
    plan = Plan()
    plan.module = module
    return plan


REFUSED: list[tuple[Any, Any, str]] = [
    (around(Branching), Branching, "torch.where"),
    (around(Reading), Reading, "torch.where|keep values in tensors"),
    (around(Masking), Masking, "torch.where"),
    (around(Remembering), Remembering, "compute without state"),
    (around(Overwriting), Overwriting, "into new tensors"),
    (around(Sorting), Sorting, "argmax"),
    (around(Recurring), Recurring, "nn.Dropout between"),
    (Normalised(), Normalised, "nn.GroupNorm"),
    (Contrastive(), Contrastive, "record by record"),
    (BranchingLoss(), BranchingLoss, "torch.where"),
    (SortingLoss(), SortingLoss, "argmax"),
    (RoundingMetrics(), RoundingMetrics, "allow_list"),
    (UnevenMetrics(), UnevenMetrics, "a value of each record"),
]
"""(the plan, the class in which the line to be named stands, the remedy)."""
