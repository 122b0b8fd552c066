"""A gated recurrent network over a sequence that comes as columns."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.classification import Classification


class Sequences(nn.Module):
    """Four steps of three columns; the last step's state decides."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.GRU(3, 8, batch_first=True, bidirectional=True)
        self.second = nn.GRU(16, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.first(x.reshape(len(x), 4, 3))
        states, _ = self.second(functional.dropout(states, 0.2, self.training))
        return self.head(states[:, -1])


class GatedRecurrent(Classification):
    """Three categories."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Sequences()
