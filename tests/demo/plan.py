"""The demo's training plan, as a researcher would write it in a notebook: a small network for a yes-or-no diagnosis."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from researcher import TrainingPlan


class Network(nn.Module):
    """A multi-layer perceptron 30-64-1: thirty standardised measurements to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(30, 64)
        self.output = nn.Linear(64, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Measurements crowd in the lower half of their published ranges: move them to the middle, and spread them."""
        centred = 3 * (features + 0.5)
        return self.output(torch.tanh(self.hidden(centred)))


class TumourPlan(TrainingPlan):
    """Is a tumour malignant, from thirty measurements of its cell nuclei?"""

    def model(self) -> nn.Module:
        """The network, the same at every call."""
        torch.manual_seed(7)
        return Network()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy."""
        return functional.binary_cross_entropy_with_logits(output.squeeze(-1), target.float())

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share of tumours that are told right."""
        return {"accuracy": ((output.squeeze(-1) > 0).long() == target).float()}
