"""Plans with convolutions as people write them: a LeNet and a residual network for 8 × 8 digits, one for sequences."""

import torch
import torch.nn.functional as F  # noqa: N812 - as people write it in plans
from torch import Tensor, nn

from researcher.plan import TrainingPlan

PIXELS = 64


class Classification(TrainingPlan):
    """Ten classes."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target)

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"accuracy": (output.argmax(1) == target).float().mean()}


class LeNet(nn.Module):
    """Convolutions and maximum pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding="same")
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc1 = nn.Linear(16 * 2 * 2, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, features: Tensor) -> Tensor:
        x = features.reshape(-1, 1, 8, 8) / 16
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x), inplace=True), 2)
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class LeNetPlan(Classification):
    """For scikit-learn's digits: 64 columns from 0 to 16."""

    def model(self) -> nn.Module:
        torch.manual_seed(1)
        return LeNet()


class Block(nn.Module):
    """Two normalised convolutions around which the input is carried, halved in size by the first."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(2, filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=2, dilation=2, groups=2, bias=False)
        self.norm2 = nn.GroupNorm(2, filters)
        self.shortcut = nn.Conv2d(channels, filters, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.norm2(self.conv2(F.gelu(self.norm1(self.conv1(x))))) + self.shortcut(x))


class ResidualPlan(Classification):
    """Strides, dilation, groups, average pooling to a size of its own."""

    def model(self) -> nn.Module:
        torch.manual_seed(2)
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 4, 3, padding=1),
            nn.MaxPool2d(3, stride=1, padding=1),
            Block(4, 8),
            nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False),
            nn.AdaptiveAvgPool2d((2, 3)),
            Block(8, 8),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )


class SequencePlan(Classification):
    """Sixteen times of four channels, as in physiological signals."""

    def model(self) -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Unflatten(1, (4, 16)),
            nn.ConstantPad1d((2, 0), 0.5),
            nn.Conv1d(4, 8, 3, groups=2),
            nn.Tanh(),
            nn.MaxPool1d(3, stride=2, padding=1),
            nn.Conv1d(8, 6, 3, padding="same", dilation=2),
            nn.LayerNorm(8),
            nn.Sigmoid(),
            nn.AvgPool1d(2),
            nn.AdaptiveMaxPool1d(2),
            nn.Flatten(),
            nn.Linear(12, 10),
        )
