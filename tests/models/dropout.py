"""Dropout in its usual forms: of single numbers, of whole channels, and in the loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.classification import Classification


class Dropouts(Classification):
    """A small network that forgets at every layer."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Dropout(0.1),
            nn.Linear(24, 32),
            nn.Unflatten(1, (8, 2, 2)),
            nn.Dropout2d(0.3),
            nn.Flatten(),
            nn.AlphaDropout(0.2),
            nn.SELU(),
            nn.Dropout(0.5, inplace=True),
            nn.Linear(32, 3),
        )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(functional.dropout(output, 0.25), target, label_smoothing=0.1)
