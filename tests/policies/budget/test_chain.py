"""A ledger that was changed behind the ledger's back does not verify."""

import pytest
from sqlalchemy import delete, inspect, text, update

from policies.budget.chain import Charge, verify_chain
from policies.budget.costs import Cost
from policies.budget.ledger import charge, open_population, reserve
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.budget.tables import charges, populations, reservations
from policies.errors import NotAuthenticError
from tests.databases import SQLITE, check_no_references

REQUEST = "1" * 64
STEP = GaussianMechanism(5.0, 1.0, 1)


@pytest.fixture
def ledger(engine):
    with engine.connect() as connection:
        _ignore_checks(connection)
        open_population(connection, "people", 3.0, 1e-6, 0)
        reserve(connection, "people", REQUEST, Cost(4 * cost_units(STEP, 9), 0), 1)
        for number in range(1, 5):
            charge(connection, REQUEST, "training", f"round {number}", 1, STEP, number)
        check_no_references(connection)
        yield connection


def _ignore_checks(connection):
    if connection.dialect.name == SQLITE:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
    else:
        for table in (populations, reservations, charges):
            for check in inspect(connection).get_check_constraints(table.name):
                connection.execute(text(f"ALTER TABLE {table.name} DROP CONSTRAINT {check['name']}"))
    connection.commit()


def test_an_untouched_ledger_verifies(ledger):
    assert verify_chain(ledger) == 4


@pytest.mark.parametrize(
    "values",
    [
        {"units": 1},
        {"step": "round 9"},
        {"attempt": 2},
        {"charged_at": 77},
        {"partition": "evaluation"},
        {"mechanism": '{"noise_multiplier":500,"sampling_rate":1,"steps":1}'},
        {"mechanism": '{"noise_multiplier":0,"sampling_rate":1,"steps":1}'},
        {"mechanism": "{}"},
        {"mechanism": "not json"},
        {"previous_hash": "e" * 64},
        {"row_hash": "e" * 64},
        {"request": "2" * 64},
        {"id": 40},
    ],
)
def test_an_edited_charge_is_found(ledger, values):
    ledger.execute(update(charges).where(charges.c.id == 2).values(values))
    with pytest.raises(NotAuthenticError, match=r"Charge [23]"):
        verify_chain(ledger)


def test_a_removed_charge_is_found(ledger):
    ledger.execute(delete(charges).where(charges.c.id == 2))
    with pytest.raises(NotAuthenticError, match="Charge 2"):
        verify_chain(ledger)


def test_a_charge_rewritten_with_good_hashes_and_a_false_cost_is_found(ledger):
    newest = ledger.execute(charges.select().where(charges.c.id == 4)).one()
    forged = Charge(4, REQUEST, "training", "round 4", 1, STEP, 1, 4, newest.previous_hash)
    ledger.execute(update(charges).where(charges.c.id == 4).values(forged.columns()))
    with pytest.raises(NotAuthenticError, match="another cost"):
        verify_chain(ledger)


@pytest.mark.parametrize(
    "values", [{"allowance_units": 10**15}, {"epsilon": 90.0}, {"delta": 0.5}, {"filter_order": 2}, {"epsilon": -1.0}]
)
def test_an_enlarged_budget_is_found(ledger, values):
    ledger.execute(update(populations).values(values))
    with pytest.raises(NotAuthenticError, match="Population people"):
        verify_chain(ledger)


def test_a_shrunk_or_inflated_reservation_is_found(ledger):
    ledger.execute(update(reservations).values(training_units=1))
    with pytest.raises(NotAuthenticError, match="more training units than it reserved"):
        verify_chain(ledger)
    ledger.execute(update(reservations).values(training_units=10**14))
    with pytest.raises(NotAuthenticError, match="more taken from it"):
        verify_chain(ledger)


def test_a_reservation_of_nobody_is_found(ledger):
    ledger.execute(update(reservations).values(population="ghosts"))
    with pytest.raises(NotAuthenticError, match="no population"):
        verify_chain(ledger)
