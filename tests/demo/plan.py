"""The demo's training plan, as a researcher would write it in a notebook: a small network for a yes-or-no diagnosis."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from researcher.plan import TrainingPlan


class TumourPlan(TrainingPlan):
    """A multi-layer perceptron 30-64-1: is a tumour malignant, from thirty measurements of its cell nuclei?"""

    def model(self) -> nn.Module:
        """Thirty standardised measurements to one logit."""
        torch.manual_seed(7)
        return nn.Sequential(nn.Linear(30, 64), nn.Tanh(), nn.Linear(64, 1))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy."""
        return functional.binary_cross_entropy_with_logits(output.squeeze(-1), target.float())

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share of tumours that are told right."""
        return {"accuracy": ((output.squeeze(-1) > 0).long() == target).float()}
