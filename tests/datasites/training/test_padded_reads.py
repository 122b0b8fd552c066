"""As many rows are read whatever is wanted, from all over the file, and the rest is forgotten."""

import numpy as np
import pytest
from numpy.typing import NDArray

from datasites.training.padded_reads import PaddedReads

FILE = np.arange(1, 1001)


@pytest.mark.parametrize("wanted", [[], [7], [999, 0, 7], [*range(64)]])
def test_reads_do_not_tell_how_many_rows_were_wanted(wanted: list[int]) -> None:
    read = list[NDArray[np.int64]]()

    def rows(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        read.append(numbers)
        return FILE[numbers]

    found = PaddedReads(len(FILE), rows).rows(np.array(wanted, np.int64), 64)
    assert [*found] == [*FILE[wanted], *[0] * (64 - len(wanted))]
    assert [len(it) for it in read] == [64]
    others = read[0][len(wanted) :]
    assert len(others) == 0 or (len(set(others.tolist())) > len(others) // 2 and others.max() > 500 > others.min())
