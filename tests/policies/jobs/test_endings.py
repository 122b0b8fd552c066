"""How long code ran is told in few values: whatever it does, little can be said by it."""

from hypothesis import given
from hypothesis import strategies as st

from policies.jobs.endings import told_milliseconds

DAY = 86_400_000


@given(st.floats(min_value=0, max_value=DAY))
def test_what_is_told_is_no_shorter_and_at_most_a_quarter_longer(elapsed: float) -> None:
    told = told_milliseconds(elapsed)
    assert elapsed - 1e-3 <= told <= max(100, elapsed * 1.25 + 1)


@given(st.floats(min_value=-DAY, max_value=DAY), st.floats(min_value=0, max_value=DAY))
def test_longer_is_never_told_as_shorter(elapsed: float, more: float) -> None:
    assert told_milliseconds(elapsed) <= told_milliseconds(elapsed + more)


@given(st.floats(min_value=0, max_value=DAY))
def test_what_is_told_would_be_told_as_itself(elapsed: float) -> None:
    told = told_milliseconds(elapsed)
    assert told_milliseconds(told - 1) == told


def test_a_day_has_sixty_three_values() -> None:
    """Less than six bits."""
    told, values = 0.0, set[int]()
    while told < DAY:
        told = told_milliseconds(told + 1)
        values.add(int(told))
    assert len(values) == 63
    assert min(values) == 100


def test_a_clock_that_was_set_back_tells_the_least() -> None:
    assert told_milliseconds(-5.0) == told_milliseconds(0.0) == told_milliseconds(100.0) == 100
