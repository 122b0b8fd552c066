"""Lost history on the ledger: what a recovery writes off is spent for good, and nothing else changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from policies.budget.balance import balance
from policies.budget.chain import verify_chain
from policies.budget.costs import PARTITIONS, Cost
from policies.budget.ledger import charge, close, lose, open_population, reserve, write_off
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.budget.tables import reservations
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError

PEOPLE = "clinic-a"
REQUEST, OTHER, NAME = "1" * 64, "2" * 64, "3" * 64
STEP = GaussianMechanism(5.0, 1.0, 1)
ONE = cost_units(STEP, 9)


@pytest.fixture
def connection(engine):
    with engine.begin() as opened:
        open_population(opened, PEOPLE, 3.0, 1e-6, 100)
        yield opened


def test_a_lost_reservation_is_spent_with_all_it_had_left(connection):
    reserve(connection, PEOPLE, REQUEST, Cost(4 * ONE, 3 * ONE), 101)
    charge(connection, REQUEST, "training", "round 1", 1, STEP, 102)
    assert lose(connection, REQUEST, 103) == Cost(3 * ONE, 3 * ONE)
    standing = balance(connection, PEOPLE)
    assert (standing.training.spent_units, standing.evaluation.spent_units) == (4 * ONE, 3 * ONE)
    assert standing.training.reserved_units == standing.evaluation.reserved_units == 0
    with pytest.raises(ConflictError, match="nothing of it is left to lose"):
        lose(connection, REQUEST, 104)
    with pytest.raises(ConflictError, match="closed"):
        charge(connection, REQUEST, "training", "round 2", 1, STEP, 105)
    close(connection, REQUEST, 106)
    assert balance(connection, PEOPLE) == standing, "closing it again gives nothing back"
    assert verify_chain(connection) == 1


def test_a_reservation_that_was_returned_is_not_lost(connection):
    reserve(connection, PEOPLE, REQUEST, Cost(ONE, ONE), 101)
    close(connection, REQUEST, 102)
    with pytest.raises(ConflictError):
        lose(connection, REQUEST, 103)
    with pytest.raises(RefusedError, match="has no reservation"):
        lose(connection, OTHER, 103)
    assert balance(connection, PEOPLE).training.spent_units == 0


def test_an_unknown_population_has_nothing_to_write_off(connection):
    with pytest.raises(InvalidInputError, match="no population"):
        write_off(connection, "nobody", NAME, Cost(1, 1), 101)


@settings(max_examples=60, deadline=None)
@given(
    reserved=st.integers(0, 4),
    others=st.integers(0, 4),
    charged=st.integers(0, 3),
    committed=st.tuples(st.integers(0, 2 * 10**12), st.integers(0, 2**52)),
)
def test_a_write_off_raises_to_what_was_committed_within_the_allowance(
    shared_engine, reserved, others, charged, committed
):
    with shared_engine.connect() as connection:  # and rolls back
        open_population(connection, PEOPLE, 3.0, 1e-6, 100)
        reserve(connection, PEOPLE, REQUEST, Cost(reserved * ONE, ONE), 101)
        reserve(connection, PEOPLE, OTHER, Cost(others * ONE, 0), 101)
        for number in range(min(charged, reserved)):
            charge(connection, REQUEST, "training", f"round {number + 1}", 1, STEP, 102)
        before = balance(connection, PEOPLE)
        lost = write_off(connection, PEOPLE, NAME, Cost(*committed), 103)
        after = balance(connection, PEOPLE)
        for partition in PARTITIONS:
            was, now = before.of(partition), after.of(partition)
            held = was.spent_units + was.reserved_units
            wanted = Cost(*committed).of(partition)
            assert now.spent_units + now.reserved_units == max(held, min(wanted, now.allowance_units))
            assert now.spent_units - was.spent_units == lost.of(partition)
            assert now.reserved_units == was.reserved_units
        verify_chain(connection)


def test_a_loss_that_is_taken_back_by_hand_is_found(connection):
    whole = balance(connection, PEOPLE).training.allowance_units
    write_off(connection, PEOPLE, NAME, Cost(whole, 0), 101)
    verify_chain(connection)
    connection.execute(update(reservations).where(reservations.c.request == NAME).values(training_units=whole + 1))
    with pytest.raises(NotAuthenticError, match="more taken from it than its allowance"):
        verify_chain(connection)
