"""Fine-tuning across sites: a network that learned to read the digits 0 to 4 elsewhere learns 5 to 9 at three sites.

The body's weights are public and stay as they are; the sites train the head alone, under differential privacy.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from researcher import TrainingPlan

OLD, NEW = range(5), range(5, 10)
SITES = ("anna-hospital", "bern-hospital", "cork-hospital")
NAME = "digits-5-to-9"
_KEPT = 200
_EPOCHS = 4


class Reader(nn.Module):
    """A convolutional body that makes 128 numbers of an image, and a linear head over five digits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 16, 3, padding=1),
            nn.GroupNorm(4, 16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.GroupNorm(4, 32),
            nn.ReLU(),
            nn.AvgPool2d(4),
            nn.Flatten(),
            nn.LayerNorm(128, elementwise_affine=False),
        )
        self.head = nn.Linear(128, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels [B, 64] in [-1, 1] to logits [B, 5]."""
        return self.head(self.body(images) / 4)


class FineTuneReader(TrainingPlan):
    """Which of the digits 5 to 9 is it? Only the head is trained, from zero."""

    trainable = ("head.*",)

    def __init__(self, body: Mapping[str, Tensor] | None = None) -> None:
        self.weights = body

    def model(self) -> nn.Module:
        """The network with the pretrained body's weights, or without any where none are given."""
        torch.manual_seed(7)
        reader = Reader()
        if self.weights is not None:
            reader.body.load_state_dict(self.weights)
        nn.init.zeros_(reader.head.weight)
        nn.init.zeros_(reader.head.bias)
        return reader

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy over the five."""
        return functional.cross_entropy(output, target)

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share that is read right."""
        return {"accuracy": (output.argmax(1) == target).float()}


def pretrained_body() -> dict[str, Tensor]:
    """The body's weights after training on the digits 0 to 4, as anybody may on public images."""
    pixels, digits = load_digits(return_X_y=True)
    old = np.isin(digits, OLD)
    images, target = torch.from_numpy(pixels[old] / 8 - 1).float(), torch.from_numpy(digits[old])
    torch.manual_seed(7)
    reader = Reader()
    optimizer = torch.optim.Adam(reader.parameters(), 2e-3)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(reader(images[batch]), target[batch]).backward()
            optimizer.step()
    return {name: value.detach() for name, value in reader.body.state_dict().items()}


def write_tables(folder: Path) -> tuple[Tensor, Tensor]:
    """Write each site's table and manifest below `folder`; gives the images and digits (0 for 5) that no site has."""
    pixels, digits = load_digits(return_X_y=True)
    rows = np.random.default_rng(1).permutation(np.flatnonzero(np.isin(digits, NEW)))
    kept, shared = rows[:_KEPT], rows[_KEPT:]
    for site, part in zip(SITES, np.array_split(shared, len(SITES)), strict=True):
        place = folder / site
        place.mkdir(parents=True, exist_ok=True)
        _write_table(place / f"{NAME}.csv", pixels, digits, part)
        (place / f"{NAME}.toml").write_text(_manifest(len(part)))
    return torch.from_numpy(pixels[kept] / 8 - 1).float(), torch.from_numpy(digits[kept]) - NEW[0]


def _write_table(path: Path, pixels: NDArray[np.float64], digits: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["writer", *(f"pixel {place}" for place in range(64)), "digit"])
        writer.writerows([f"digit-writer-{row}", *pixels[row].astype(int).tolist(), digits[row]] for row in rows)


def _manifest(units: int) -> str:
    columns = "".join(
        f'[[columns]]\nname = "pixel {place}"\ntype = "integer"\nminimum = 0\nmaximum = 16\n' for place in range(64)
    )
    return f"""\
name = "{NAME}"
title = "Handwritten digits 5 to 9"
description = "Images of 8 × 8 pixels, one a writer."
target = "digit"

[privacy_unit]
column = "writer"
maximum_records = 1
nominal_units = {units}

[holdout]
fraction = 0.2

{columns}
[[columns]]
name = "digit"
type = "category"
categories = {[str(digit) for digit in NEW]}
"""
