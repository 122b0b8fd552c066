"""P3: a budget is never exceeded – by many requests, adaptive ones, retries, returns, or edits of the file."""

import pytest
from sqlalchemy import Engine, update

from policies.budget.balance import balance
from policies.budget.chain import verify_chain
from policies.budget.costs import PARTITIONS, Cost
from policies.budget.ledger import charge, close, open_population, reserve
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.budget.tables import charges
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from tests.attacks.budget_ledger import DELTA, PEOPLE, assert_promise_kept, new_ledger, whole
from tests.databases import SQLITE, empty_database


@pytest.fixture
def engine(tmp_path) -> Engine:
    return new_ledger(empty_database(SQLITE, tmp_path))


def test_many_researchers_with_many_small_requests(engine):
    mechanism, admitted = GaussianMechanism(15.0, 1.0, 1), 0
    for number in range(150):
        try:
            with engine.begin() as connection:
                reserve(connection, PEOPLE, f"{number:064x}", whole(mechanism), number)
                for partition in PARTITIONS:
                    charge(connection, f"{number:064x}", partition, "round 1", 1, mechanism, number)
            admitted += 1
        except RefusedError:
            continue
    assert 0 < admitted < 150
    assert_promise_kept(engine)


def test_adaptively_chosen_requests_that_always_ask_for_what_is_left(engine):
    """Each request is shaped by what the ones before left over."""
    shapes = [(0.8, 0.05), (1.5, 0.2), (3.0, 0.5), (6.0, 1.0), (50.0, 1.0), (500.0, 1.0)]
    for number in range(60):
        with engine.begin() as connection:
            left = balance(connection, PEOPLE).training.remaining_units
            fitting = [GaussianMechanism(noise, rate, 7) for noise, rate in shapes]
            fitting = [one for one in fitting if cost_units(one, 9) <= left]
            if not fitting:
                break
            greediest = max(fitting, key=lambda one: cost_units(one, 9))
            reserve(connection, PEOPLE, f"{number:064x}", whole(greediest), number)
            for partition in PARTITIONS:
                charge(connection, f"{number:064x}", partition, "round 1", 1, greediest, number)
    with engine.begin() as connection:
        assert balance(connection, PEOPLE).training.remaining_share < 0.01
        with pytest.raises(RefusedError):
            reserve(connection, PEOPLE, "f" * 64, whole(GaussianMechanism(50.0, 1.0, 7)), 99)
    assert_promise_kept(engine)


def test_retries_spend_only_what_was_reserved(engine):
    mechanism, request = GaussianMechanism(10.0, 1.0, 1), "1" * 64
    with engine.begin() as connection:
        reserve(connection, PEOPLE, request, Cost(3 * cost_units(mechanism, 9), 0), 1)
    outcomes = []
    for attempt in (1, 1, 2, 2, 3, 4, 5):
        with engine.begin() as connection:
            try:
                charge(connection, request, "training", "round 1", attempt, mechanism, 2)
                outcomes.append("charged")
            except CloisterError as error:
                outcomes.append(type(error).__name__)
    refused = ["RefusedError"] * 2
    assert outcomes == ["charged", "ConflictError", "charged", "ConflictError", "charged", *refused]
    assert_promise_kept(engine)


def test_closing_never_gives_back_what_was_spent(engine):
    """Reserve, charge, close, again and again, each time hoping that the return is larger than the rest."""
    mechanism = GaussianMechanism(6.0, 1.0, 1)
    spent = 0
    for number in range(30):
        with engine.begin() as connection:
            request = f"{number:064x}"
            rest = balance(connection, PEOPLE).training.remaining_units
            reserve(connection, PEOPLE, request, Cost(rest, 0), number)
            try:
                spent += charge(connection, request, "training", "round 1", 1, mechanism, number).units
            except RefusedError:
                assert rest < cost_units(mechanism, 9)
            returned = {close(connection, request, number + again).training_units for again in range(3)}
            after = balance(connection, PEOPLE).training
            assert returned == {after.remaining_units}
            assert after.spent_units == spent
            with pytest.raises(ConflictError):
                charge(connection, request, "training", "round 2", 1, GaussianMechanism(1e6, 1e-6, 1), number)
    assert_promise_kept(engine)


@pytest.mark.parametrize(
    ("noise", "rate", "steps"),
    [(float("nan"), 0.1, 1), (float("inf"), 0.1, 1), (2.0, float("nan"), 1), (2.0, 0.0, 1), (2.0, 0.1, -1)],
)
def test_mechanisms_that_would_be_free_are_not_mechanisms(noise, rate, steps):
    with pytest.raises(InvalidInputError):
        GaussianMechanism(noise, rate, steps)


def test_a_negative_cost_does_not_refill_the_budget(engine):
    with engine.begin() as connection, pytest.raises(InvalidInputError):
        reserve(connection, PEOPLE, "1" * 64, Cost(-(10**12), 0), 1)


def test_the_rarest_sampling_still_costs_a_unit(engine):
    feather = GaussianMechanism(1e6, 1e-300, 1)
    with engine.begin() as connection:
        reserve(connection, PEOPLE, "1" * 64, Cost(2, 0), 1)
        for attempt in (1, 2):
            assert charge(connection, "1" * 64, "training", "round 1", attempt, feather, 1).units == 1
        with pytest.raises(RefusedError):
            charge(connection, "1" * 64, "training", "round 1", 3, feather, 1)


def test_a_budget_cannot_be_opened_again_larger(engine):
    with engine.begin() as connection, pytest.raises(ConflictError):
        open_population(connection, PEOPLE, 100.0, DELTA, 1)


def test_erasing_or_discounting_charges_in_the_file_is_found(engine):
    mechanism = GaussianMechanism(10.0, 1.0, 1)
    with engine.begin() as connection:
        reserve(connection, PEOPLE, "1" * 64, Cost(3 * cost_units(mechanism, 9), 0), 1)
        for number in (1, 2, 3):
            charge(connection, "1" * 64, "training", f"round {number}", 1, mechanism, 1)
    with engine.connect() as connection:
        connection.execute(update(charges).where(charges.c.id == 2).values(units=1))
        with pytest.raises(NotAuthenticError):
            verify_chain(connection)
        connection.rollback()
        connection.execute(charges.delete().where(charges.c.id == 1))
        with pytest.raises(NotAuthenticError):
            verify_chain(connection)
        connection.rollback()
    assert_promise_kept(engine)
