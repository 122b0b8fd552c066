"""Balances under seal: what every population had spent and reserved, kept by witnesses who cannot read it.

A site whose disk was set back learns from it how much may have been spent in the history that it lost.
"""

import secrets
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field
from sqlalchemy import Connection, select

from policies.budget.balance import balance
from policies.budget.tables import populations
from policies.decision import PopulationId, Units
from policies.errors import NotAuthenticError, RefusedError
from policies.log.merkle import TreeHead
from policies.statements.digests import frame
from policies.statements.schema import StrictModel, parse_model

_STEP_BYTES = 1024
_MAXIMUM_BYTES = 192 * 1024
_NONCE_BYTES = 12


class Committed(StrictModel):
    """What one population had spent and reserved, in ledger units."""

    population: PopulationId
    training_units: Units
    evaluation_units: Units


class Balances(StrictModel):
    """Every population's commitments at one size of the log; the padding hides how many there are."""

    populations: tuple[Committed, ...]
    padding: Annotated[str, Field(max_length=_STEP_BYTES)]


def seal_balances(connection: Connection, key: bytes, site: str, head: TreeHead) -> str:
    """Seal the ledger's balances for the log at `head` under the site's own `key` (32 bytes); hexadecimal.

    Raises:
        RefusedError: there are more populations than fit.
    """
    held = [
        (name, balance(connection, name))
        for name in connection.execute(select(populations.c.id).order_by(populations.c.id)).scalars()
    ]
    committed = tuple(
        Committed(
            population=name,
            training_units=it.training.spent_units + it.training.reserved_units,
            evaluation_units=it.evaluation.spent_units + it.evaluation.reserved_units,
        )
        for name, it in held
    )
    plain = Balances(populations=committed, padding="").canonical()
    if len(plain) > _MAXIMUM_BYTES:
        raise RefusedError(f"This site has {len(held)} populations, more than its witnesses can keep balances of.")
    padded = Balances(populations=committed, padding=" " * (-len(plain) % _STEP_BYTES)).canonical()
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return (nonce + AESGCM(key).encrypt(nonce, padded, _context(site, head))).hex()


def open_balances(sealed: str, key: bytes, site: str, head: TreeHead) -> tuple[Committed, ...]:
    """The balances that this site sealed when its log was at `head`.

    Raises:
        NotAuthenticError: it did not seal these.
    """
    data = bytes.fromhex(sealed)
    try:
        plain = AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _context(site, head))
    except (InvalidTag, ValueError) as error:
        raise NotAuthenticError("A witness gave back other balances than this site sealed for it.") from error
    found = parse_model(Balances, plain, maximum_bytes=_MAXIMUM_BYTES + 2 * _STEP_BYTES, what="A sealed balance")
    return found.populations


def _context(site: str, head: TreeHead) -> bytes:
    return frame("sealed-balance", bytes.fromhex(site), head.size.to_bytes(8, "big"), head.root)
