"""The data as a study's rounds take it: units of the snapshot, their texts read as tokens, their prefix computed."""

from datasites.training.cached_units import CachedUnits
from datasites.training.data import Units
from datasites.training.frozen_prefix import FrozenPrefix
from datasites.training.study import Study
from datasites.training.tokens import TokenUnits
from datasites.training.unit_file import open_units
from policies.errors import InvalidInputError


def load_units(study: Study, snapshot: int, cache: int | None) -> tuple[Units, Units]:
    """Training and holdout units of the snapshot behind a descriptor; this computes the study's prefixes.

    Args:
        cache: the descriptor of the empty file to keep their values in.

    Raises:
        CloisterError: the file is no snapshot, or the study needs a cache and got none.
        OSError: the disk did not take the cache.
    """
    training, holdout = open_units(snapshot)
    read = [it if study.reader is None else TokenUnits(it, study.reader) for it in (training, holdout)]
    first, trained = _computed(read[0], study.training_prefix, cache, 0)
    _, held_out = _computed(read[1], study.holdout_prefix, cache, first)
    return trained, held_out


def _computed(units: Units, prefix: FrozenPrefix | None, cache: int | None, first_byte: int) -> tuple[int, Units]:
    if prefix is None:
        return first_byte, units
    if cache is None:
        raise InvalidInputError("The study needs a file for its cache, and none was handed in.")
    computed = CachedUnits(units, prefix, cache, first_byte)
    return computed.end, computed
