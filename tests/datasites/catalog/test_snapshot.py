"""Snapshots: the arrays are those of the table by an independent count, and no changed file is ever loaded."""

import csv
import hashlib
import os
import shutil
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.catalog.fingerprints import is_holdout, unit_fingerprint
from datasites.catalog.keys import CatalogKeys, derive_catalog_keys
from datasites.catalog.snapshot import open_snapshot
from policies.errors import InvalidInputError, NotAuthenticError
from policies.manifest import parse_manifest
from tests.unit_arrays import build_snapshot, freeze, read_snapshot


def slow_reference(rows, manifest, keys, holdout):
    """The same arrays record by record, in plain Python from the lines of the file."""
    records = {}
    for name, *cells in csv.reader(rows):
        records.setdefault(name, []).append(cells)
    units = [name for name in records if is_holdout(name, keys.split, manifest.holdout.fraction) == holdout]
    units.sort(key=lambda name: unit_fingerprint(name, keys.fingerprint))
    features = np.zeros((len(units), 3, 6), np.float32)
    target, mask = np.zeros((len(units), 3), np.int64), np.zeros((len(units), 3), bool)
    for i, name in enumerate(units):
        for j, (age, pressure, blood, ill) in enumerate(records[name][:3]):
            one_hot = [float(blood == category) for category in ("A", "B", "AB", "0")]
            scaled = [2 * (float(age) - 18) / 80 - 1, 2 * (float(pressure) - 60) / 160 - 1]
            features[i, j] = scaled + one_hot
            target[i, j] = ("no", "yes").index(ill)
            mask[i, j] = True
    return features, target, mask


@pytest.fixture
def snapshot(manifest, keys, write_table, visits):
    return build_snapshot(write_table(visits), manifest, keys)


@pytest.fixture
def written(manifest, keys, write_table, visits, tmp_path):
    return freeze(write_table(visits), manifest, keys, tmp_path / "snapshots")


@pytest.mark.parametrize("holdout", [False, True])
def test_agrees_with_a_slow_reference(snapshot, manifest, keys, visits, holdout):
    features, target, mask = slow_reference(visits, manifest, keys, holdout)
    side = snapshot.holdout if holdout else snapshot.training
    assert len(mask) > 10
    np.testing.assert_allclose(side.features, features, atol=1e-6)
    np.testing.assert_array_equal(side.target, target)
    np.testing.assert_array_equal(side.mask, mask)
    assert (side.features.dtype, side.target.dtype, side.mask.dtype) == (np.float32, np.int64, np.bool_)


def test_every_unit_stands_on_one_side_only(snapshot):
    ours = {
        round(float(value), 4) for side in (snapshot.training, snapshot.holdout) for value in side.features[:, 0, 1]
    }
    assert len(snapshot.training.mask) + len(snapshot.holdout.mask) == len(ours) == 100


def test_numbers_scale_to_the_bounds_as_target_too(clinic_toml, keys, write_table):
    manifest = parse_manifest(clinic_toml.replace('target = "ill"', 'target = "pressure"').encode())
    rows = [f"p{number},98,{220 if number % 2 else 60},A,no" for number in range(60)]
    training = build_snapshot(write_table(rows), manifest, keys).training
    assert training.target.dtype == np.float32
    assert set(training.target[training.mask].tolist()) == {-1.0, 1.0}
    assert set(training.features[training.mask][:, 0].tolist()) == {1.0}


def test_features_stand_in_the_order_of_the_manifest(clinic_toml, keys, write_table):
    """Predicting the pressure: one age, four places for the blood group, then two for ill."""
    manifest = parse_manifest(clinic_toml.replace('target = "ill"', 'target = "pressure"').encode())
    rows = [f"p{number},58,140,AB,yes" for number in range(60)]
    training = build_snapshot(write_table(rows), manifest, keys).training
    assert training.features[0, 0].tolist() == [0, 0, 0, 1, 0, 0, 1]
    assert training.target[0].tolist() == [0, 0, 0]
    assert training.mask[0].tolist() == [True, False, False]


@settings(max_examples=40, deadline=None)
@given(left=st.integers(0, 99), moved=st.randoms(use_true_random=False))
def test_a_unit_moves_nobody_else(manifest, keys, tmp_path_factory, left, moved):
    """Neither one person's absence nor the order of other people's rows changes what is kept of anybody."""
    folder = tmp_path_factory.getbasetemp()
    rows = [f"p{number},{18 + visit},{60 + number},A,no" for number in range(100) for visit in range(2)]
    fewer = [row for row in rows if not row.startswith(f"p{left},")]
    moved.shuffle(fewer)
    sides = []
    for lines in (rows, fewer):
        path = folder / "neighbour.csv"
        path.write_text("patient,age,pressure,blood,ill\n" + "\n".join(lines))
        sides.append(build_snapshot(path, manifest, keys))
    for whole, without in ((sides[0].training, sides[1].training), (sides[0].holdout, sides[1].holdout)):
        people = [round(float(value) * 80 + 80) for value in whole.features[:, 0, 1]]
        others = [round(float(value) * 80 + 80) for value in without.features[:, 0, 1]]
        assert [person for person in people if person != left] == others


def test_the_order_of_units_follows_the_key_and_not_the_file(manifest, keys, write_table, visits):
    table = write_table(visits)
    other = derive_catalog_keys(b"\x09" * 32)
    mixed = CatalogKeys(keys.split, other.fingerprint, keys.commitment, keys.balance)
    first, second = (build_snapshot(table, manifest, each).training.features[:, 0, 1] for each in (keys, mixed))
    assert sorted(first.tolist()) == sorted(second.tolist())
    assert first.tolist() != second.tolist()
    assert first.tolist() != sorted(first.tolist())


@pytest.mark.parametrize(("units", "accepted"), [(49, False), (50, True), (100, True), (125, True), (126, False)])
def test_requires_the_declared_order_of_size(manifest, keys, write_table, units, accepted):
    table = write_table([f"p{number},40,120,A,no" for number in range(units)])
    if accepted:
        assert build_snapshot(table, manifest, keys)
        return
    with pytest.raises(InvalidInputError, match="units") as caught:
        build_snapshot(table, manifest, keys)
    assert units == 49 or str(units) not in str(caught.value)


def test_refuses_half_the_nominal_units(clinic_toml, keys, write_table):
    manifest = parse_manifest(clinic_toml.replace("nominal_units = 100", "nominal_units = 201").encode())
    table = write_table([f"p{number},40,120,A,no" for number in range(100)])
    with pytest.raises(InvalidInputError, match="nominal_units"):
        build_snapshot(table, manifest, keys)


def test_refuses_what_the_disk_does_not_hold(manifest, keys, write_table, visits, monkeypatch):
    kept = sum(min(3, patient % 5 + 1) for patient in range(100))
    needed = 512 + 100 * 3 * (4 * 6 + 9) + kept * 28
    usage = type("Usage", (), {"free": needed - 1})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(InvalidInputError, match="maximum_records"):
        build_snapshot(write_table(visits), manifest, keys)
    usage.free = needed
    assert build_snapshot(write_table(visits), manifest, keys)


def test_opens_as_it_was_written(written, manifest, keys):
    commitment, path = written
    with open_snapshot(path, commitment, keys.commitment) as snapshot:
        assert snapshot.layout.manifest == manifest.digest()
        assert snapshot.layout == read_snapshot(path).layout
        assert os.fstat(snapshot.descriptor).st_ino == path.stat().st_ino
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(snapshot.descriptor, b"x")


def test_lies_readable_for_the_owner_only_and_alone(written):
    _, path = written
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_freezing_again_gives_the_same_commitment(written, manifest, keys, write_table, visits, tmp_path):
    again = freeze(write_table(visits), manifest, keys, tmp_path / "snapshots")
    assert again == written


def test_a_failed_write_leaves_nothing(manifest, keys, write_table, visits, tmp_path, monkeypatch):
    def no_disk(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", no_disk)
    with pytest.raises(OSError, match="no space"):
        freeze(write_table(visits), manifest, keys, tmp_path / "snapshots")
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_the_commitment_cannot_be_guessed_from_the_data(written, keys):
    """Somebody who guesses the whole table still needs the key to confirm the guess."""
    commitment, path = written
    content = path.read_bytes()
    assert commitment != hashlib.sha256(content).hexdigest()
    with pytest.raises(NotAuthenticError):
        open_snapshot(path, commitment, keys.fingerprint)


@pytest.mark.parametrize("attack", ["flip first", "flip last", "truncate", "extend", "empty", "remove", "swap"])
def test_no_changed_file_is_loaded(written, manifest, keys, write_table, visits, tmp_path, attack):
    commitment, path = written
    content = bytearray(path.read_bytes())
    path.chmod(0o600)
    if attack == "remove":
        path.unlink()
    elif attack == "swap":
        other, other_path = freeze(write_table(visits[1:]), manifest, keys, tmp_path / "snapshots")
        assert other != commitment
        other_path.replace(path)
    else:
        changed = {
            "flip first": bytes([content[0] ^ 1]) + content[1:],
            "flip last": content[:-1] + bytes([content[-1] ^ 1]),
            "truncate": content[:-1],
            "extend": content + b"\0",
            "empty": b"",
        }[attack]
        path.write_bytes(changed)
    with pytest.raises(NotAuthenticError, match="restore it"):
        open_snapshot(path, commitment, keys.commitment)


def test_the_commitment_covers_the_manifest(written, clinic_toml, keys, write_table, visits, tmp_path):
    """The same arrays under another public description are another snapshot."""
    renamed = parse_manifest(clinic_toml.replace("One row a visit.", "Healthy volunteers.").encode())
    commitment, _ = freeze(write_table(visits), renamed, keys, tmp_path / "s")
    assert commitment != written[0]


def test_arrays_and_snapshots_show_no_value(snapshot):
    assert "[" not in repr(snapshot) + repr(snapshot.training)


@pytest.mark.parametrize("attack", ["write", "truncate", "extend"])
def test_a_change_after_the_check_is_noticed(written, keys, attack):
    commitment, path = written
    with open_snapshot(path, commitment, keys.commitment) as snapshot:
        snapshot.require_unchanged()
        path.chmod(0o600)
        with path.open("r+b") as file:
            if attack == "write":
                file.seek(-1, os.SEEK_END)
                file.write(b"x")
            else:
                file.truncate(path.stat().st_size + (1 if attack == "extend" else -1))
        with pytest.raises(NotAuthenticError, match="changed"):
            snapshot.require_unchanged()


def test_a_snapshot_that_others_may_read_is_refused(written, keys):
    commitment, path = written
    path.chmod(0o440)
    with pytest.raises(NotAuthenticError, match="0400"):
        open_snapshot(path, commitment, keys.commitment)
