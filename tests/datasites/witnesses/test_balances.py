"""Sealed balances: the site that sealed one reads it again; nobody else does, and none serves for another log."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from datasites.witnesses.balances import open_balances, seal_balances
from policies.budget.costs import Cost
from policies.budget.ledger import open_population, reserve
from policies.budget.tables import charges, populations, reservations
from policies.database import metadata
from policies.errors import NotAuthenticError
from policies.log.merkle import TreeHead

KEY, SITE, HEAD = b"\x01" * 32, "ab" * 32, TreeHead(7, b"\x02" * 32)


def sealed(*names: str) -> str:
    """The balances of these populations, each with a reservation of (10, 4) units."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine, tables=[populations, reservations, charges])
    with engine.begin() as connection:
        for number, name in enumerate(names):
            open_population(connection, name, 3.0, 1e-6, 1)
            reserve(connection, name, f"{number:064x}", Cost(10, 4), 2)
        return seal_balances(connection, KEY, SITE, HEAD)


def test_what_is_spent_and_reserved_is_read_again_by_the_site_that_sealed_it() -> None:
    found = open_balances(sealed("north", "south"), KEY, SITE, HEAD)
    assert [(it.population, it.training_units, it.evaluation_units) for it in found] == [
        ("north", 10, 4),
        ("south", 10, 4),
    ]
    assert open_balances(sealed(), KEY, SITE, HEAD) == ()


def test_its_length_does_not_tell_how_many_populations_there_are() -> None:
    assert len({len(sealed(*names)) for names in ((), ("north",), ("north", "south", "west"))}) == 1


@pytest.mark.parametrize(
    ("key", "site", "head"),
    [
        (b"\x03" * 32, SITE, HEAD),
        (KEY, "cd" * 32, HEAD),
        (KEY, SITE, TreeHead(8, HEAD.root)),
        (KEY, SITE, TreeHead(7, b"\x04" * 32)),
    ],
)
def test_a_balance_of_another_key_site_or_log_is_not_believed(key: bytes, site: str, head: TreeHead) -> None:
    with pytest.raises(NotAuthenticError, match="other balances"):
        open_balances(sealed("north"), key, site, head)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_byte_survives(place: int, change: int) -> None:
    data = bytearray.fromhex(SEALED)
    data[place % len(data)] ^= change
    with pytest.raises(NotAuthenticError, match="other balances"):
        open_balances(data.hex(), KEY, SITE, HEAD)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27])
def test_a_balance_cut_short_is_not_believed(length: int) -> None:
    with pytest.raises(NotAuthenticError, match="other balances"):
        open_balances(SEALED[: 2 * length], KEY, SITE, HEAD)


SEALED = sealed("north")
