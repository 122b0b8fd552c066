"""Distillation (Hinton et al. 2015): a small network learns the softened answers of a frozen large one as well."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from researcher.plan import TrainingPlan

TEMPERATURE = 2.0


class Pair(nn.Module):
    """The student's and the teacher's scores."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 4))
        self.student = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            taught = self.teacher(x)
        return self.student(x), taught


class Distillation(TrainingPlan):
    """Half the true categories, half the teacher's answers."""

    trainable = ("student.*",)

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Pair()

    def loss(self, output: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        student, teacher = output
        softened = functional.log_softmax(student / TEMPERATURE, 1)
        taught = functional.softmax(teacher / TEMPERATURE, 1)
        answers = functional.kl_div(softened, taught, reduction="batchmean") * TEMPERATURE**2
        return 0.5 * functional.cross_entropy(student, target) + 0.5 * answers

    def metrics(self, output: tuple[Tensor, Tensor], target: Tensor) -> dict[str, Tensor]:
        student, teacher = output
        return {
            "accuracy": (student.argmax(1) == target).float(),
            "agreement": (student.argmax(1) == teacher.argmax(1)).float(),
        }
