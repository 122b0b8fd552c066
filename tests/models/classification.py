"""What the plans that sort records into categories have in common."""

from torch import Tensor
from torch.nn import functional

from researcher.plan import TrainingPlan


class Classification(TrainingPlan):
    """Cross entropy of scores [B, categories], and how often the highest is right."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target)

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"accuracy": (output.argmax(1) == target).float()}
