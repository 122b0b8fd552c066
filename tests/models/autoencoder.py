"""An autoencoder of columns: the model hands its input on, since it is what the loss compares with."""

import torch
from torch import Tensor, nn

from researcher.plan import TrainingPlan


class Narrow(nn.Module):
    """Down to four numbers and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(20, 12), nn.ELU(), nn.Linear(12, 4))
        self.decoder = nn.Sequential(nn.Linear(4, 12), nn.ELU(), nn.Linear(12, 20), nn.Tanh())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder(self.encoder(x)), x


class Autoencoder(TrainingPlan):
    """Squared error over all columns."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Narrow()

    def loss(self, output: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        again, x = output
        return (again - x).square().mean()

    def metrics(self, output: tuple[Tensor, Tensor], target: Tensor) -> dict[str, Tensor]:
        again, x = output
        return {"error": (again - x).square().mean(1).clamp(0, 1)}
