"""What no participant could measure: exact accuracies, on patients whom the demo kept from every hospital."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from tests.demo.hospitals import Patients
from tests.demo.plan import TumourPlan

_STEPS = 250


def accuracy(parameters: Mapping[str, torch.Tensor], patients: Patients) -> float:
    """The share of `patients` that a model tells right."""
    model = TumourPlan().model()
    model.load_state_dict(dict(parameters))
    with torch.no_grad():
        logits = model(torch.from_numpy(patients.standardised())).squeeze(-1)
    return float(((logits > 0).long() == torch.from_numpy(patients.target)).float().mean())


def accuracies_by_round(folder: Path, rounds: int, patients: Patients) -> list[float]:
    """The accuracy of the global model after each round, from the files that the researcher saved."""
    return [accuracy(load_file(folder / f"model-{number}.safetensors"), patients) for number in range(1, rounds + 1)]


def accuracy_without_privacy(training: Patients, patients: Patients) -> float:
    """Train the same network on `training` as if nobody had to be protected, and measure it on `patients`."""
    model = TumourPlan().model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    features, target = torch.from_numpy(training.standardised()), torch.from_numpy(training.target)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(model(features).squeeze(-1), target.float()).backward()
        optimizer.step()
    return accuracy(model.state_dict(), patients)


def pool(hospitals: Mapping[str, Patients]) -> Patients:
    """All hospitals' patients in one place: what Cloister is there to avoid."""
    parts = list(hospitals.values())
    return Patients(
        tuple(name for part in parts for name in part.identifiers),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.target for part in parts]),
    )
