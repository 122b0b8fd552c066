"""The plans that the benchmark of utility tries: linear models, a perceptron, and a small convolutional network.

Features come in [−1, 1] by public bounds; each model first moves and spreads them by numbers that no data chose.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from researcher import TrainingPlan
from tests.demo.plan import TumourPlan


class _Moved(nn.Module):
    """`spread` × (features + `shift`) and then `following`."""

    def __init__(self, shift: float, spread: float, following: nn.Module) -> None:
        super().__init__()
        self.shift, self.spread, self.following = shift, spread, following

    def forward(self, features: Tensor) -> Tensor:
        return self.following(self.spread * (features + self.shift))


class _Roots(nn.Module):
    """Roots of the measurements, most of which lie low in their ranges, moved and spread: linear to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(30, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(8 * (((features + 1) / 2 + 1e-6).sqrt() - 0.5))


class TumourRegression(TumourPlan):
    """Logistic regression on the roots of the demo's columns, from zero."""

    def model(self) -> nn.Module:
        return _Roots()


class _Digits(TrainingPlan):
    """Which digit is on an image of 8 × 8 pixels?"""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target)

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"accuracy": (output.argmax(1) == target).float()}


class DigitsRegression(_Digits):
    """Multinomial logistic regression, from zero."""

    def model(self) -> nn.Module:
        linear = nn.Linear(64, 10)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        return _Moved(0.375, 1.0, linear)


class _Strokes(nn.Module):
    """Roots of the ink, less what is usual in a column, and their products one and two pixels apart, to ten logits.

    Where strokes go shows in which pixels are dark together; so that need not be learned from data.
    """

    usual: Tensor

    def __init__(self) -> None:
        super().__init__()
        ink = torch.tensor([0.0, 0.125, 0.5, 0.625, 0.625, 0.5, 0.125, 0.0])  # a digit in its frame, roughly
        self.register_buffer("usual", ink)
        self.linear = nn.Linear(8 * 8 + 2 * 7 * 8 + 2 * 7 * 7 + 2 * 6 * 8 + 2 * 6 * 6, 10)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        ink = (features.reshape(-1, 8, 8) + 1) / 2
        dark = 2 * ((ink + 0.05).sqrt() - (self.usual + 0.05).sqrt())
        parts = [dark]
        for far in (1, 2):
            parts += [
                dark[:, :, far:] * dark[:, :, :-far],
                dark[:, far:] * dark[:, :-far],
                dark[:, far:, far:] * dark[:, :-far, :-far],
                dark[:, far:, :-far] * dark[:, :-far, far:],
            ]
        return self.linear(torch.cat([0.7 * it.flatten(1) for it in parts], 1))


class DigitsStrokes(_Digits):
    """Multinomial regression on products of pixels near each other, from zero."""

    def model(self) -> nn.Module:
        return _Strokes()


class DigitsConvolutions(_Digits):
    """A convolutional network: sixteen filters with groups of four normalised, averages over two by two, one layer."""

    def model(self) -> nn.Module:
        torch.manual_seed(7)
        layers = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 16, 3, padding=1),
            nn.GroupNorm(4, 16),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, 10),
        )
        return _Moved(0.375, 1.0, layers)


PLANS: dict[str, type[TrainingPlan]] = {
    "logistic regression": TumourRegression,
    "perceptron 30-64-1": TumourPlan,
    "multinomial regression": DigitsRegression,
    "regression on strokes": DigitsStrokes,
    "convolutional network": DigitsConvolutions,
}
