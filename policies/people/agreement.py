"""When a decision is taken: one person says no, or as many different persons say yes to the same as it asks for."""

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import Field

from policies.errors import NotAuthenticError, RefusedError
from policies.people.signer import Person
from policies.statements.digests import party_of
from policies.statements.schema import PartyId

MOST_APPROVALS = 5
Approvals = Annotated[int, Field(ge=1, le=MOST_APPROVALS)]
"""How many different persons must sign the same before it holds."""

YES = ("approve", "release")
"""The verdicts that take as many persons as are asked for; those against take one."""


class Statement(Protocol):
    """What one person says on one subject."""

    @property
    def verdict(self) -> str:
        """`approve` or `release`, or the word against it."""

    @property
    def approvals(self) -> int:
        """How many different persons must say yes."""

    def subject(self) -> str:
        """The digest of what it is on."""


def needed(statement: Statement) -> int:
    """How many different persons must sign the same as `statement`; a no holds by itself."""
    return statement.approvals if statement.verdict in YES else 1


def require_agreement(
    statements: Sequence[Statement], people: Sequence[Person], researcher: PartyId, *, what: str
) -> None:
    """Check that `statements`, each by the person at the same place of `people`, take one decision together.

    It is a decision on what `researcher` asked for.

    Raises:
        NotAuthenticError: naming `what`: they are on different things, too few, or two of them by one person.
        RefusedError: one of them is by the researcher.
    """
    for person in people:
        require_not_own(person, researcher)
    said = {(it.subject(), it.verdict) for it in statements}
    if len(said) != 1:
        raise NotAuthenticError(f"The signatures on {what} are on different things.")
    if any(same_person(one, other) for place, one in enumerate(people) for other in people[:place]):
        raise NotAuthenticError(f"One person signed {what} twice; that counts once.")
    if len(statements) < needed(statements[0]):
        raise NotAuthenticError(
            f"Of the {needed(statements[0])} persons who must sign {what}, {len(statements)} did; ask the site's owner."
        )


def same_person(one: Person, other: Person) -> bool:
    """Whether two signers count as one person: by their key, their name, or whom they are as a researcher."""
    return (
        one.key == other.key
        or same_name(one.name, other.name)
        or (one.researcher is not None and one.researcher == other.researcher)
    )


def same_name(one: str, other: str) -> bool:
    """Whether people read both as the same name."""
    return _read(one) == _read(other)


def require_not_own(person: Person, researcher: PartyId) -> None:
    """Check that `person` is not the researcher whose request this is.

    Raises:
        RefusedError: it is; nobody decides on what they asked for.
    """
    if researcher in (person.researcher, party_of(bytes.fromhex(person.key))):
        raise RefusedError(f"This is {person.name}'s own request; somebody else decides on it.")


def _read(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
