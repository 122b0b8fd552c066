"""Plans that several tests use: one that is right, and one whose parts can be exchanged."""

from typing import Any

import torch.nn.functional as F  # noqa: N812 - as people write it in plans
from torch import Tensor, nn

from researcher.plan import TrainingPlan


class LogisticRegression(TrainingPlan):
    """Binary, with the target an index."""

    def model(self) -> nn.Module:
        return nn.Linear(5, 1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output.squeeze(-1), target.float())

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        right = (output.squeeze(-1) > 0) == (target == 1)
        return {"accuracy": right.float().mean(), "brier": (output.squeeze(-1).sigmoid() - target) ** 2}


class Changed(LogisticRegression):
    """A plan with one part exchanged, as people get them wrong."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def model(self) -> nn.Module:
        return self.parts["model"]() if "model" in self.parts else nn.Linear(5, 3)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return self.parts.get("loss", F.cross_entropy)(output, target)

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        default = {"accuracy": (output.argmax(1) == target).float()}
        return self.parts["metrics"](output, target) if "metrics" in self.parts else default

    def scores(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        return self.parts["scores"](output, target) if "scores" in self.parts else {}
