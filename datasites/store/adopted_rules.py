"""The house rules that the owner has adopted, as they stand in the database; the owner's signature says which hold."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Row, insert, select

from datasites.protocol.identity import IdentityCard
from datasites.protocol.person_key import require_owner_key
from datasites.store.tables import adopted_rules
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError
from policies.log.journal import append, position_of
from policies.log.rules_entries import RulesAdopted
from policies.rules.adoption import (
    MAXIMUM_SIGNED_ADOPTION_BYTES,
    Adoption,
    SignedAdoption,
    sign_adoption,
    verify_adoption,
)
from policies.rules.house_rules import HouseRules
from policies.statements.schema import parse_model


@dataclass(frozen=True)
class Adopted:
    """Rules that the owner adopted; `digest` is how decisions name them."""

    digest: str
    signed: SignedAdoption

    @property
    def rules(self) -> HouseRules:
        """The rules themselves."""
        return self.signed.adoption.rules


def adopted_now(connection: Connection, card: IdentityCard) -> Adopted:
    """The rules that hold now at the site with this card.

    Raises:
        RefusedError: its owner has adopted none.
        NotAuthenticError: what is stored is not what the owner adopted.
    """
    newest = connection.execute(select(adopted_rules).order_by(adopted_rules.c.number.desc()).limit(2)).all()
    if not newest:
        raise RefusedError("The owner has adopted no house rules here; «datasite rules adopt» adopts the file's.")
    holds, *replaced = (_verified(row, card) for row in newest)
    previous = replaced[0].digest if replaced else None
    unbroken = [row.number for row in newest] == ([newest[0].number, newest[0].number - 1] if replaced else [1])
    if holds.signed.adoption.previous != previous or not unbroken:
        raise _changed()
    return holds


def adopted_before(connection: Connection, card: IdentityCard, position: int) -> Adopted:
    """The rules that held when the log had reached `position` (from 0).

    Raises:
        NotAuthenticError: none did, or what is stored is not what the owner adopted.
    """
    for row in connection.execute(select(adopted_rules).order_by(adopted_rules.c.number.desc())).all():
        found = _verified(row, card)
        adopted_at = position_of(connection, RulesAdopted(at=found.signed.adoption.adopted_at, signed=found.signed))
        if adopted_at is not None and adopted_at < position:
            return found
    raise NotAuthenticError("No house rules had been adopted when the stored decision was taken.")


def adopt(
    connection: Connection, card: IdentityCard, rules: HouseRules, owner_key: Ed25519PrivateKey, now: int
) -> Adopted:
    """Sign and log `rules`: they hold at the site with this card from now on.

    Raises:
        NotAuthenticError: the key is not the owner's on the card, or the rules that held are not what was adopted.
    """
    require_owner_key(owner_key, card)
    number = connection.execute(
        select(adopted_rules.c.number).order_by(adopted_rules.c.number.desc()).limit(1)
    ).scalar_one_or_none()
    adoption = Adoption(
        version="cloister-house-rules/1",
        site=card.party,
        rules=rules,
        previous=None if number is None else adopted_now(connection, card).digest,
        adopted_at=now,
    )
    signed = sign_adoption(owner_key, adoption)
    row = {"number": (number or 0) + 1, "digest": adoption.digest(), "statement": signed.canonical().decode()}
    connection.execute(insert(adopted_rules).values(row))
    append(connection, RulesAdopted(at=now, signed=signed))
    return Adopted(adoption.digest(), signed)


def _verified(row: Row[tuple[object, ...]], card: IdentityCard) -> Adopted:
    statement, digest = str(row._mapping["statement"]), str(row._mapping["digest"])
    try:
        signed = parse_model(
            SignedAdoption, statement.encode(), maximum_bytes=MAXIMUM_SIGNED_ADOPTION_BYTES, what="The adoption"
        )
    except InvalidInputError as error:
        raise _changed() from error
    if verify_adoption(signed, bytes.fromhex(card.owner_key or ""), card.party).digest() != digest:
        raise _changed()
    return Adopted(digest, signed)


def _changed() -> NotAuthenticError:
    return NotAuthenticError("The stored house rules are not what the owner adopted: somebody changed the database.")
