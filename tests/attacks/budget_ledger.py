"""A ledger in a real database for attacks on P3, and the check that its promise was kept."""

from dp_accounting import dp_event
from dp_accounting.rdp import RdpAccountant
from sqlalchemy import Engine, select

from datasites.store.engine import open_engine
from policies.budget.balance import balance
from policies.budget.chain import verify_chain
from policies.budget.costs import PARTITIONS, Cost
from policies.budget.ledger import open_population
from policies.budget.renyi import ORDERS, GaussianMechanism, cost_units
from policies.budget.tables import charges, populations, reservations
from policies.database import metadata
from policies.statements.canonical import parse_json

PEOPLE, EPSILON, DELTA = "clinic-a", 3.0, 1e-6


def new_ledger(url: str) -> Engine:
    """A fresh ledger with one population of (3, 1e-6), whose filter order is 9."""
    engine = open_engine(url)
    metadata.create_all(engine, tables=[populations, reservations, charges])
    with engine.begin() as connection:
        open_population(connection, PEOPLE, EPSILON, DELTA, 0)
    return engine


def assert_promise_kept(engine: Engine) -> None:
    """Recompute from the stored mechanisms alone, with Google's accountant, what each partition's people suffered."""
    with engine.begin() as connection:
        rows = connection.execute(select(charges)).all()
        standing = balance(connection, PEOPLE)
        verify_chain(connection)
    for partition in PARTITIONS:
        accountant = RdpAccountant([order for order in ORDERS if order.is_integer()])
        for row in rows:
            if row.partition == partition:
                one = parse_json(row.mechanism.encode(), maximum_bytes=1000, what="a mechanism")
                sampled = dp_event.PoissonSampledDpEvent(
                    one["sampling_rate"], dp_event.GaussianDpEvent(one["noise_multiplier"])
                )
                accountant.compose(sampled, one["steps"])
        assert accountant.get_epsilon(DELTA) <= EPSILON
        assert sum(row.units for row in rows if row.partition == partition) <= standing.of(partition).allowance_units
        assert standing.of(partition).remaining_units >= 0


def whole(mechanism: GaussianMechanism) -> Cost:
    return Cost(cost_units(mechanism, 9), cost_units(mechanism, 9))
