"""A snapshot dealt out to machines: every unit to exactly one, by lot, and one more moves no other."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from datasites.catalog.shards import cut_shard, deal, fill_shard, public_bytes, shard_file, shard_pieces, write_shard
from datasites.catalog.snapshot_layout import HEADER_BYTES, SnapshotLayout, parse_layout
from policies.errors import UnavailableError
from tests.unit_arrays import UnitArrays, read_snapshot, write_units

TRAINING, HOLDOUT = 110, 40


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Units whose first feature is their number."""
    features = np.arange(TRAINING + HOLDOUT, dtype=np.float32).repeat(6).reshape(-1, 2, 3)
    target, mask = np.zeros(features.shape[:2], np.float32), np.ones(features.shape[:2], bool)
    sides = (UnitArrays(features[it], target[it], mask[it]) for it in (slice(TRAINING), slice(TRAINING, None)))
    return write_units(tmp_path / "whole.snapshot", *sides)


@pytest.mark.parametrize("machines", [1, 2, 3, 64])
def test_every_unit_is_on_exactly_one_machine_and_on_its_side(
    snapshot: Path, machines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasites.catalog.shards._BYTES_AT_A_TIME", 400)
    layout = read_snapshot(snapshot).layout
    dealt = deal(layout, machines)
    shards = [dealt.shard(machine) for machine in range(machines)]
    contents = [bytearray(shard.header()) for shard in shards]
    with snapshot.open("rb") as file:
        for machine, rows in dealt.rows(file.fileno()):
            contents[machine] += rows.tobytes()
    sides: tuple[list[float], list[float]] = [], []
    for content in contents:
        own = parse_layout(bytes(content[:HEADER_BYTES]), len(content))
        numbers = np.frombuffer(content[HEADER_BYTES:], own.unit_type)["features"][:, 0, 0].tolist()
        sides[0].extend(numbers[: own.training_units])
        sides[1].extend(numbers[own.training_units :])
        assert numbers == sorted(numbers)
    assert sorted(sides[0]) == list(range(TRAINING))
    assert sorted(sides[1]) == list(range(TRAINING, TRAINING + HOLDOUT))


def of_units(count: int) -> SnapshotLayout:
    return SnapshotLayout(
        manifest="00" * 32,
        records=1,
        features="columns",
        shape=(1,),
        target="float32",
        targets=(),
        training_units=count,
        holdout_units=0,
    )


def test_lots_are_even_and_each_is_drawn_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One unit more draws one lot more; it changes none of those before it."""
    counts = np.bincount(deal(of_units(30_000), 3).owners, minlength=3)
    assert counts.sum() == 30_000
    assert (abs(counts - 10_000) < 600).all()
    lots = os.urandom(4 * 2001)
    monkeypatch.setattr(os, "urandom", lambda size: lots[:size])
    with_one, without = (deal(of_units(count), 5).owners for count in (2001, 2000))
    assert (with_one[:-1] == without).all()


def test_the_length_on_the_way_does_not_tell_how_many_units_a_machine_has() -> None:
    """The catalog admits up to 1.25 times the nominal number, here 1000 for training and none held out."""
    lengths = {public_bytes(deal(of_units(units), 4).shard(0), 250, 0) for units in (500, 999, 1250) for _ in range(20)}
    assert len(lengths) == 1


def test_a_shard_has_no_name_and_is_read_through_a_descriptor_that_cannot_write(tmp_path: Path) -> None:
    with shard_file(tmp_path, 4) as (writer, reader):
        write_shard(writer, np.frombuffer(b"people", np.uint8))
        assert os.pread(reader, 10, 0) == b"people"
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(reader, b"others")
        with pytest.raises(UnavailableError, match="did not take"):
            write_shard(reader, np.zeros(1, np.uint8))
    with pytest.raises(UnavailableError, match="No file without a name"), shard_file(tmp_path / "nowhere", 1):
        pass


def test_room_for_a_shard_is_taken_before_there_are_people(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no room"), shard_file(tmp_path, 2**62):
        pass


def test_no_shard_is_made_where_files_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that lost power would keep it."""

    def without_nameless(path: object, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return true_open(path, flags, mode)  # type: ignore[arg-type]

    true_open = os.open
    monkeypatch.setattr(os, "open", without_nameless)
    with pytest.raises(UnavailableError, match="not supported"), shard_file(tmp_path, 1):
        pass


def test_what_fills_a_shard_up_is_cut_off_by_what_its_header_says(tmp_path: Path) -> None:
    layout = of_units(3)
    with shard_file(tmp_path, 10_000) as (writer, reader):
        write_shard(writer, np.frombuffer(layout.header(), np.uint8))
        write_shard(writer, np.ones(3 * layout.unit_type.itemsize, np.uint8))
        fill_shard(writer, 10_000)
        whole = b"".join(shard_pieces(reader, 10_000))
        assert len(whole) == 10_000
        cut_shard(writer)
        assert whole.rstrip(bytes(1)) == os.pread(reader, 10_000, 0)
        assert os.fstat(reader).st_size == layout.file_bytes
