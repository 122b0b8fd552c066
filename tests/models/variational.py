"""A variational autoencoder (Kingma & Welling 2014): the hidden numbers are drawn, anew for each record and step."""

import torch
from torch import Tensor, nn

from researcher.plan import TrainingPlan


class Drawing(nn.Module):
    """Means and log variances of four hidden numbers; in eval mode the means are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(20, 12), nn.Softplus())
        self.mean, self.log_variance = nn.Linear(12, 4), nn.Linear(12, 4)
        self.decoder = nn.Sequential(nn.Linear(4, 12), nn.Softplus(), nn.Linear(12, 20))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        drawn = mean
        if self.training:
            drawn = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return self.decoder(drawn), x, mean, log_variance


class VariationalAutoencoder(TrainingPlan):
    """Reconstruction and divergence from the standard normal law."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Drawing()

    def loss(self, output: tuple[Tensor, ...], target: Tensor) -> Tensor:
        again, x, mean, log_variance = output
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return ((again - x).square().sum(1) + divergence).mean()

    def metrics(self, output: tuple[Tensor, ...], target: Tensor) -> dict[str, Tensor]:
        again, x, _, _ = output
        return {"error": (again - x).square().mean(1).clamp(0, 1)}
