"""ResNet-18 (He et al. 2016) with group normalisation in place of batch normalisation, for small images."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from tests.models.classification import Classification


class Block(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.first_norm, self.second_norm = nn.GroupNorm(8, outside), nn.GroupNorm(8, outside)
        self.short = nn.Sequential()
        if stride != 1 or inside != outside:
            self.short = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.GroupNorm(8, outside))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        y += self.short(x)
        return torch.relu(y)


class ResNet18(Classification):
    """Colour images, ten categories; `width` channels at first, 64 in the paper."""

    def __init__(self, width: int = 64) -> None:
        self.width = width

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        widths = [self.width * 2**stage for stage in range(4)]
        blocks = [Block(widths[0], widths[0], 1), Block(widths[0], widths[0], 1)]
        for inside, outside in pairwise(widths):
            blocks += [Block(inside, outside, 2), Block(outside, outside, 1)]
        return nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False),
            nn.GroupNorm(8, widths[0]),
            nn.ReLU(),
            *blocks,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], 10),
        )
