"""The ledger's own rules, one by one, and under any sequence of calls."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from policies.budget.balance import balance
from policies.budget.chain import verify_chain
from policies.budget.costs import Cost, request_cost, round_mechanisms
from policies.budget.filter import allowance_units
from policies.budget.ledger import charge, close, open_population, reserve
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.budget.tables import charges
from policies.errors import ConflictError, InvalidInputError, RefusedError

PEOPLE = "clinic-a"
REQUEST, OTHER = "1" * 64, "2" * 64
STEP = GaussianMechanism(5.0, 1.0, 1)


@pytest.fixture
def connection(engine):
    with engine.begin() as opened:
        open_population(opened, PEOPLE, 3.0, 1e-6, 100)
        yield opened


def test_opening_fixes_order_and_allowance(connection):
    with pytest.raises(ConflictError, match="fixed for its lifetime"):
        open_population(connection, PEOPLE, 8.0, 1e-6, 100)
    opened = open_population(connection, "clinic-b", 8.0, 1e-6, 100)
    assert (opened.filter_order, opened.allowance_units) == (4, allowance_units(8.0, 1e-6, 4))
    assert balance(connection, "clinic-b").training.remaining_share == 1.0


def test_a_study_from_reservation_to_return(connection, terms):
    cost = request_cost(terms, 9)
    reserve(connection, PEOPLE, REQUEST, cost, 101)
    assert balance(connection, PEOPLE).training.reserved_units == cost.training_units
    for number in range(1, terms.sums):
        for partition, mechanism in round_mechanisms(terms, number).items():
            charge(connection, REQUEST, partition, f"round {number}", 1, mechanism, 102)
    standing = balance(connection, PEOPLE)
    assert (standing.training.spent_units, standing.training.reserved_units) == (cost.training_units, 0)
    returned = close(connection, REQUEST, 103)
    assert returned == Cost(0, cost.evaluation_units // 2)
    assert close(connection, REQUEST, 104) == returned
    standing = balance(connection, PEOPLE)
    assert standing.evaluation.spent_units == cost.evaluation_units // 2
    assert standing.evaluation.reserved_units == standing.training.reserved_units == 0
    assert verify_chain(connection) == 5


def test_the_partitions_each_have_the_whole_allowance(connection):
    whole = balance(connection, PEOPLE).training.allowance_units
    reserve(connection, PEOPLE, REQUEST, Cost(whole, 0), 101)
    reserve(connection, PEOPLE, OTHER, Cost(0, whole), 101)
    assert balance(connection, PEOPLE).fits(Cost(0, 0))
    assert not balance(connection, PEOPLE).fits(Cost(1, 0))
    assert not balance(connection, PEOPLE).fits(Cost(0, 1))


def test_a_refusal_says_what_is_short_and_changes_nothing(connection):
    whole = balance(connection, PEOPLE).training.allowance_units
    reserve(connection, PEOPLE, REQUEST, Cost(whole // 5, 0), 101)
    before = balance(connection, PEOPLE)
    with pytest.raises(
        RefusedError, match=r"its training needs 80\.1 % of the allowance and 80\.0 % is left"
    ) as raised:
        reserve(connection, PEOPLE, OTHER, Cost(before.training.remaining_units + 1, whole), 101)
    assert "evaluation needs" not in str(raised.value)
    assert balance(connection, PEOPLE) == before
    assert before.shortfall(Cost(1, 1)) == ""


def test_one_reservation_a_request_for_ever(connection):
    reserve(connection, PEOPLE, REQUEST, Cost(10, 10), 101)
    with pytest.raises(ConflictError, match="new request"):
        reserve(connection, PEOPLE, REQUEST, Cost(1, 1), 102)
    close(connection, REQUEST, 103)
    with pytest.raises(ConflictError, match="new request"):
        reserve(connection, PEOPLE, REQUEST, Cost(1, 1), 104)


def test_charging_needs_an_open_reservation_with_enough_left(connection):
    with pytest.raises(RefusedError, match="no reservation"):
        charge(connection, REQUEST, "training", "round 1", 1, STEP, 102)
    units = cost_units(STEP, 9)
    reserve(connection, PEOPLE, REQUEST, Cost(2 * units - 1, 0), 101)
    made = charge(connection, REQUEST, "training", "round 1", 1, STEP, 102)
    assert (made.id, made.units) == (1, units)
    with pytest.raises(RefusedError, match="more training units"):
        charge(connection, REQUEST, "training", "round 2", 1, STEP, 102)
    with pytest.raises(RefusedError, match="more evaluation units"):
        charge(connection, REQUEST, "evaluation", "round 1", 1, STEP, 102)
    close(connection, REQUEST, 103)
    with pytest.raises(ConflictError, match="closed"):
        charge(connection, REQUEST, "training", "round 2", 1, GaussianMechanism(1e6, 1e-9, 1), 104)


def test_a_step_is_charged_once_an_attempt(connection):
    reserve(connection, PEOPLE, REQUEST, Cost(3 * cost_units(STEP, 9), 0), 101)
    charge(connection, REQUEST, "training", "round 1", 1, STEP, 102)
    with pytest.raises(ConflictError, match="charged already"):
        charge(connection, REQUEST, "training", "round 1", 1, STEP, 102)
    charge(connection, REQUEST, "training", "round 1", 2, STEP, 102)
    assert balance(connection, PEOPLE).training.spent_units == 2 * cost_units(STEP, 9)


def test_unknown_names_are_refused(connection):
    with pytest.raises(InvalidInputError):
        balance(connection, "nobody")
    with pytest.raises(InvalidInputError):
        reserve(connection, "nobody", REQUEST, Cost(1, 1), 101)
    with pytest.raises(RefusedError):
        close(connection, REQUEST, 101)


def test_the_database_itself_refuses_a_forked_chain_and_impossible_rows(connection):
    reserve(connection, PEOPLE, REQUEST, Cost(3 * cost_units(STEP, 9), 0), 101)
    made = charge(connection, REQUEST, "training", "round 1", 1, STEP, 102)
    for change in ({"id": 2, "step": "round 2"}, {"id": 3, "previous_hash": "f" * 64, "step": "x", "units": -1}):
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(insert(charges).values({**made.columns(), **change}))


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("reserve", "charge", "charge", "charge", "close")),
        st.integers(0, 4),
        st.sampled_from(("training", "evaluation")),
        st.sampled_from((2.0, 4.0, 9.0, 30.0)),
        st.integers(1, 3),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(actions=ACTIONS)
def test_no_sequence_of_calls_spends_more_than_the_allowance(shared_engine, actions):
    spent = {"training": 0, "evaluation": 0}
    with shared_engine.connect() as connection:  # and rolls back
        allowance = open_population(connection, PEOPLE, 3.0, 1e-6, 0).allowance_units
        for now, (action, number, partition, noise, attempt) in enumerate(actions):
            request, mechanism = f"{number:064x}", GaussianMechanism(noise, 0.5, 10)
            try:
                if action == "reserve":
                    reserve(connection, PEOPLE, request, Cost(allowance // attempt // 2, allowance // int(noise)), now)
                elif action == "charge":
                    spent[partition] += charge(connection, request, partition, "s", attempt, mechanism, now).units
                else:
                    close(connection, request, now)
            except (ConflictError, RefusedError):
                continue
            standing = balance(connection, PEOPLE)
            for one, total in spent.items():
                assert standing.of(one).spent_units == total
                assert standing.of(one).reserved_units >= 0
                assert standing.of(one).remaining_units >= 0
                assert total <= allowance
        verify_chain(connection)
