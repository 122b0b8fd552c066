"""The benchmark of utility's data: by salt, three sites' snapshots, all of them in one, and records of no site.

Tables become units by the product's own catalog: parsed, checked and scaled by the manifest's public bounds, frozen.
"""

import csv
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from datasites.catalog.keys import derive_catalog_keys
from datasites.training.unit_file import UnitFile, open_units
from policies.manifest import Holdout, Manifest, PrivacyUnit, parse_manifest
from tests.demo import hospitals
from tests.unit_arrays import freeze, read_snapshot

_KEYS = derive_catalog_keys(bytes(range(32)))
_DIGITS_UNITS = {"anna-hospital": 580, "bern-hospital": 490, "cork-hospital": 370}
_DIGITS_KEPT = 359
_SKEW = 1.4
"""Noise in the order by which records are shared out, in standard deviations of what they are ordered by; the demo's is
as large."""


@dataclass(frozen=True, eq=False)
class Site:
    """Training units behind an open snapshot, and their public number."""

    units: UnitFile
    nominal_units: int


@dataclass(frozen=True, eq=False)
class Split:
    """One salt's split: sites by name, all their data in one place, and records of no site (features [n, d]).

    `manifests` are the sites', in their order; they differ in their number of units.
    """

    manifests: tuple[Manifest, ...]
    sites: Mapping[str, Site]
    pooled: Site
    features: Tensor
    target: Tensor


@dataclass(frozen=True)
class _Tables:
    """CSV files of the sites and of what is kept from them, with their public numbers of records."""

    manifest: Manifest
    sites: Mapping[str, Path]
    nominal: Mapping[str, int]
    kept: Path
    kept_nominal: int


@contextmanager
def breast_cancer(salt: int) -> Iterator[Split]:
    """The demo's hospitals and patients, shared out anew by `salt`."""
    with _split(_tumours, salt) as split:
        yield split


@contextmanager
def digits(salt: int) -> Iterator[Split]:
    """scikit-learn's 1797 digits: a fifth kept, the others shared out by size and, roughly, by their ink."""
    with _split(_numerals, salt) as split:
        yield split


DATA_SETS = {"breast cancer": breast_cancer, "digits": digits}


@contextmanager
def _split(write: Callable[[Path, int], _Tables], salt: int) -> Iterator[Split]:
    with tempfile.TemporaryDirectory(prefix="utility-") as name, ExitStack() as opened:
        folder = Path(name)
        tables = write(folder, salt)
        pooled = folder / "pooled.csv"
        pooled.write_text(
            "".join(_without_header(path, first=not place) for place, path in enumerate(tables.sites.values()))
        )

        def site(path: Path, nominal: int) -> Site:
            _, snapshot = freeze(path, _for_units(tables.manifest, nominal), _KEYS, folder / f"{path.stem}-frozen")
            descriptor = os.open(snapshot, os.O_RDONLY)
            opened.callback(os.close, descriptor)
            return Site(open_units(descriptor)[0], nominal)

        _, snapshot = freeze(
            tables.kept, _for_units(tables.manifest, tables.kept_nominal), _KEYS, folder / "kept-frozen"
        )
        kept = read_snapshot(snapshot).training
        yield Split(
            manifests=tuple(_for_units(tables.manifest, nominal) for nominal in tables.nominal.values()),
            sites={name: site(path, tables.nominal[name]) for name, path in tables.sites.items()},
            pooled=site(pooled, sum(tables.nominal.values())),
            features=torch.from_numpy(kept.features[:, 0].copy()),
            target=torch.from_numpy(kept.target[:, 0].copy()),
        )


def _for_units(manifest: Manifest, nominal: int) -> Manifest:
    """The manifest of a table with about `nominal` units, all of them for training."""
    unit = PrivacyUnit(column=manifest.privacy_unit.column, maximum_records=1, nominal_units=nominal)
    return manifest.model_copy(update={"privacy_unit": unit, "holdout": Holdout(fraction=0.0)})


def _without_header(path: Path, *, first: bool) -> str:
    text = path.read_text()
    return text if first else text.partition("\n")[2]


def _tumours(folder: Path, salt: int) -> _Tables:
    shares, kept = hospitals.share_out(salt)
    paths = {name: folder / f"{name}.csv" for name in shares}
    for name, patients in shares.items():
        hospitals.write_table(paths[name], patients)
    hospitals.write_table(folder / "kept.csv", kept)
    hospitals.write_manifest(folder / "manifest.toml", next(iter(shares)))
    manifest = parse_manifest((folder / "manifest.toml").read_bytes())
    return _Tables(manifest, paths, hospitals.UNITS, folder / "kept.csv", 115)


def _numerals(folder: Path, salt: int) -> _Tables:
    images, labels = load_digits(return_X_y=True)
    generator = np.random.default_rng(salt)
    order = generator.permutation(len(labels))
    kept, shared = order[:_DIGITS_KEPT], order[_DIGITS_KEPT:]
    ink = images[shared].mean(1)
    ranked = shared[np.argsort(-(ink + generator.normal(0, _SKEW * ink.std(), len(shared))))]
    cuts = np.cumsum(list(_DIGITS_UNITS.values()))[:-1]
    shares = dict(zip(_DIGITS_UNITS, np.split(ranked, cuts), strict=True))
    pixels = [f"pixel {place}" for place in range(images.shape[1])]
    for name, rows in {**shares, "kept": kept}.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *pixels, "digit"])
            writer.writerows([f"image-{row}", *images[row].astype(int).tolist(), labels[row]] for row in rows)
    columns = "".join(f'[[columns]]\nname = "{it}"\ntype = "integer"\nminimum = 0\nmaximum = 16\n' for it in pixels)
    manifest = parse_manifest(
        f"""\
name = "digits"
title = "Handwritten digits"
description = "Images of 8 × 8 pixels."
target = "digit"
[privacy_unit]
column = "image"
maximum_records = 1
nominal_units = 580
[holdout]
fraction = 0.0
{columns}
[[columns]]
name = "digit"
type = "category"
categories = {[str(digit) for digit in range(10)]}
""".encode()
    )
    paths = {name: folder / f"{name}.csv" for name in shares}
    return _Tables(manifest, paths, _DIGITS_UNITS, folder / "kept.csv", _DIGITS_KEPT)
