"""The external sort: the order of a sort in memory, whatever the memory, and nothing left in the folder."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.catalog.external_sort import ExternalSort

RECORD = np.dtype([("key", "<u8"), ("added", "<u4")])


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 12) | st.integers(0, 2**64 - 1), max_size=30)), most=st.integers(1, 20))
def test_sorts_stably_and_never_parts_equal_keys(tmp_path_factory, parts, most):
    folder = tmp_path_factory.mktemp("sort")
    everything = [key for part in parts for key in part]
    with ExternalSort(folder, RECORD, most * RECORD.itemsize) as sort:
        for part in parts:
            records = np.zeros(len(part), RECORD)
            records["key"], records["added"] = part, sort.total + np.arange(len(part))
            sort.add(records)
        blocks = list(sort.blocks())
        assert list(folder.iterdir()) == []
    found = [(int(key), int(added)) for block in blocks for key, added in block]
    assert found == sorted((key, added) for added, key in enumerate(everything))
    keys = [set(block["key"].tolist()) for block in blocks]
    assert sum(map(len, keys)) == len(set(everything))
