"""A multilayer perceptron on columns."""

import torch
from torch import nn

from tests.models.classification import Classification


class Perceptron(Classification):
    """30 columns, 64 hidden units, two categories."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(30, 64), nn.ReLU(inplace=True), nn.Linear(64, 2))
