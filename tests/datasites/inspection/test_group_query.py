"""What passes by in pieces is counted as pandas counts it in one: groups, people, totals, the largest, and spreads."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.inspection.group_query import Counting, GroupQuery
from datasites.inspection.private_columns import private_column
from datasites.inspection.survey import Spread
from datasites.inspection.vocabulary import Vocabulary
from policies.disclosure.cells import plain

RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["f", "m", None]),
        st.sampled_from([1, 2, 3.0, None]),
        st.sampled_from(["p1", "p2", "p3", "p4"]),
        st.floats(-1e6, 1e6) | st.none(),
    ),
    min_size=1,
    max_size=40,
)
ROWS = [("f", 1), ("f", 2), ("m", 3), ("m", 4), ("x", 1), ("F ", "1.0")]


def _asked(query: GroupQuery, frame: pd.DataFrame, piece: int) -> GroupQuery:
    for first in range(0, len(frame), piece):
        part = frame.iloc[first : first + piece]
        query.update({name: private_column(part[name]) for name in frame.columns})
    return query


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.integers(1, 10), st.integers(1, 3))
def test_groups_are_counted_as_pandas_counts_them(records, piece, contributors):
    frame = pd.DataFrame(records, columns=["sex", "stage", "unit", "cost"]).astype({"stage": float, "cost": float})
    rows = [tuple(map(plain, row)) for row in ROWS]
    by_records = GroupQuery(["sex", "stage"], rows, Counting(None, 3, contributors), ["cost"])
    by_units = GroupQuery(["sex", "stage"], rows, Counting("unit", 3, contributors))
    (sums,) = _asked(by_records, frame, piece).sums()
    _asked(by_units, frame, piece)
    for place, (sex, stage) in enumerate(rows):
        group = frame[(frame["sex"] == sex) & (frame["stage"] == stage)]
        units = group["unit"].nunique()
        assert sums.counts[place] == len(group)
        assert by_units.counts()[place] == (units if units < 3 else len(group))
        assert sums.totals[place] == pytest.approx(group["cost"].sum())
        assert sums.sizes[place] == pytest.approx(group["cost"].abs().sum())
        assert sums.largest[place] == pytest.approx(group["cost"].abs().nlargest(contributors).sum())


def test_no_column_means_every_record():
    frame = pd.DataFrame({"cost": [1.0, 2.0, 3.0]})
    query = _asked(GroupQuery([], [()], Counting(None, 3, 1), ["cost"]), frame, 2)
    assert query.counts().tolist() == [3]
    assert query.sums()[0].totals.tolist() == [6]


@given(st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=2, max_size=60), st.integers(1, 20))
def test_a_spread_is_that_of_all_numbers_together(numbers, piece):
    spread, values = Spread(), np.array(numbers)
    for first in range(0, values.size, piece):
        spread.update(values[first : first + piece])
    known = values[~np.isnan(values)]
    assert spread.filled == known.size
    if known.size:
        assert (spread.minimum, spread.maximum) == (known.min(), known.max())
        assert spread.mean == pytest.approx(known.mean(), abs=1e-3)
        assert spread.squares == pytest.approx(((known - known.mean()) ** 2).sum(), rel=1e-6, abs=1e-3)


def test_chance_is_as_dense_as_the_column_is_there():
    spread = Spread()
    spread.update(np.concatenate([np.arange(0, 100, 0.01), np.arange(1000, 100_000, 1000.0)]))
    dense, sparse = spread.chances(np.array([50.0, 70_000.0]), np.array([0.005, 0.005]))
    assert dense > 0.5
    assert sparse < 0.001


@pytest.mark.parametrize(
    ("written", "private", "agrees"),
    [
        (14.13, 14.127, True),
        (14.13, 14.136, False),
        (14, 14.4, True),
        (14, 14.6, False),
        (14.1270599, 14.1270599, True),
        (float(np.float32(14.127)), 14.127, True),
        (14.1270599, 14.1271, False),
        (0.0, 0.4, True),
        (1e20, 1e20, True),
        (-3.5, 3.5, False),
    ],
)
def test_a_number_agrees_as_far_as_it_is_written(written, private, agrees):
    (places,) = Vocabulary([written]).numbers(np.array([private, np.nan]))
    assert places.tolist() == [0 if agrees else -1, -1]
