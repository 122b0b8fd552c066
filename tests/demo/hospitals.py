"""The demo's data: the Wisconsin breast-cancer patients, shared out unequally and skewed over three hospitals.

569 real patients from scikit-learn's bundled set. A fifth is kept by the demo, at no hospital, to measure models on.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

UNITS = {"anna-hospital": 185, "bern-hospital": 155, "cork-hospital": 115}
"""Hospitals with their public, rounded numbers of patients."""

# Bounds as published with the data set (its summary table, rounded outwards), in the order of its features.
PUBLISHED_BOUNDS = (
    ("mean radius", 6.0, 30.0),
    ("mean texture", 9.0, 40.0),
    ("mean perimeter", 40.0, 190.0),
    ("mean area", 140.0, 2510.0),
    ("mean smoothness", 0.05, 0.17),
    ("mean compactness", 0.0, 0.35),
    ("mean concavity", 0.0, 0.45),
    ("mean concave points", 0.0, 0.21),
    ("mean symmetry", 0.1, 0.31),
    ("mean fractal dimension", 0.04, 0.1),
    ("radius error", 0.1, 2.9),
    ("texture error", 0.3, 4.9),
    ("perimeter error", 0.7, 22.0),
    ("area error", 6.0, 545.0),
    ("smoothness error", 0.0, 0.04),
    ("compactness error", 0.0, 0.14),
    ("concavity error", 0.0, 0.4),
    ("concave points error", 0.0, 0.06),
    ("symmetry error", 0.0, 0.08),
    ("fractal dimension error", 0.0, 0.03),
    ("worst radius", 7.0, 37.0),
    ("worst texture", 12.0, 50.0),
    ("worst perimeter", 50.0, 252.0),
    ("worst area", 185.0, 4260.0),
    ("worst smoothness", 0.07, 0.23),
    ("worst compactness", 0.02, 1.1),
    ("worst concavity", 0.0, 1.26),
    ("worst concave points", 0.0, 0.3),
    ("worst symmetry", 0.15, 0.67),
    ("worst fractal dimension", 0.05, 0.21),
)


@dataclass(frozen=True)
class Patients:
    """Measurements [n, 30] in their own units, and diagnoses [n]: 1 is malignant."""

    identifiers: tuple[str, ...]
    features: NDArray[np.float64]
    target: NDArray[np.int64]

    def standardised(self) -> NDArray[np.float32]:
        """Measurements scaled to [−1, 1] by the published bounds, as the manifests declare them."""
        low, high = (np.array([bound[place] for bound in PUBLISHED_BOUNDS]) for place in (1, 2))
        return np.asarray(2 * (self.features - low) / (high - low) - 1, dtype=np.float32)


def share_out(salt: int = 20_261_121) -> tuple[dict[str, Patients], Patients]:
    """Each hospital's patients, disjoint, and those that the demo keeps to itself. The same at every call, by `salt`.

    Hospitals differ in size, and the first sees larger tumours than the last: a referral centre.
    """
    bundled = load_breast_cancer()
    features, target = bundled.data, 1 - bundled.target
    generator = np.random.default_rng(salt)
    order = generator.permutation(len(target))
    kept, shared = order[:114], order[114:]
    referral = features[shared, 0] + generator.normal(0, 5, len(shared))
    ranked = shared[np.argsort(-referral)]
    cuts = np.cumsum(list(UNITS.values()))[:-1]
    shares = zip(UNITS, np.split(ranked, cuts), strict=True)
    hospitals = {name: _patients(features, target, generator.permutation(rows)) for name, rows in shares}
    return hospitals, _patients(features, target, kept)


def write_table(path: Path, patients: Patients) -> None:
    """Write a hospital's private table as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient_id", *(name for name, _, _ in PUBLISHED_BOUNDS), "diagnosis"])
        for identifier, row, malignant in zip(patients.identifiers, patients.features, patients.target, strict=True):
            writer.writerow([identifier, *map(repr, row.tolist()), "malignant" if malignant else "benign"])


def write_manifest(path: Path, hospital: str) -> None:
    """Write a hospital's manifest: what anybody may know of its table."""
    columns = "".join(
        f'\n[[columns]]\nname = "{name}"\ntype = "number"\nminimum = {low}\nmaximum = {high}\n'
        for name, low, high in PUBLISHED_BOUNDS
    )
    path.write_text(
        f"""\
name = "breast-tumours"
title = "Breast tumours at {hospital}"
description = "Thirty measurements of cell nuclei from a fine needle aspirate, and the diagnosis."
target = "diagnosis"

[privacy_unit]
column = "patient_id"
maximum_records = 1
nominal_units = {UNITS[hospital]}

[holdout]
fraction = 0.2
{columns}
[[columns]]
name = "diagnosis"
type = "category"
categories = ["benign", "malignant"]
"""
    )


def _patients(features: NDArray[np.float64], target: NDArray[np.int64], rows: NDArray[np.int64]) -> Patients:
    return Patients(tuple(f"patient-{row:04}" for row in rows), features[rows], target[rows])
