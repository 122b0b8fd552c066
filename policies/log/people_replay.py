"""Replays what a log says of people: who had a role when, who decided, and whether enough of them agreed."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

from policies.log.accounts import require
from policies.log.bundle import SiteFacts
from policies.log.people_entries import PeopleEntry, PersonAppointed
from policies.people.agreement import Statement, needed, require_not_own
from policies.people.register import Register
from policies.people.signer import Person, PersonSigned
from policies.statements.schema import PartyId, PublicKey


class PeopleReplay:
    """Everybody who had a role. What breaks a rule raises a CloisterError.

    `signed` counts the decisions by who took them.
    """

    def __init__(self, site: SiteFacts, owner_key: bytes, pinned: Container[PartyId]) -> None:
        """Nobody but the owner; `pinned` is the log's own, and grows with it."""
        self.register = Register(site.site, owner_key, (site.signing_key, site.log_key))
        self.signed: Counter[str] = Counter()
        self._pinned = pinned

    def take(self, entry: PeopleEntry) -> None:
        """Replay an appointment or a dismissal."""
        if isinstance(entry, PersonAppointed):
            self.register.appoint(entry.signed, self._pinned)
        else:
            self.register.dismiss(entry.signed)

    def pin(self, party: PartyId) -> None:
        """Another party is pinned: its signing key may be no person's."""
        require(not self.register.holds(party), "the key of the party that is pinned is a person's of this site")

    def decides(self, signed: PersonSigned, person: Person, researcher: PartyId) -> None:
        """Check that `person`, who signed, has a role at this moment and decides on somebody else's request."""
        self.register.require_in_role(signed)
        require_not_own(person, researcher)
        self.signed[person.name] += 1


@dataclass
class Tally:
    """The approvals of one thing that wait for more, by their subject: the keys that signed it."""

    _waiting: dict[str, set[PublicKey]] = field(default_factory=dict)

    def takes(self, statement: Statement, signer: PublicKey, people: PeopleReplay) -> bool:
        """Count one signature; True if enough people who are still in role have now said the same.

        Raises:
            RefusedError: the same person said it before.
        """
        enough = needed(statement)
        if enough == 1:
            self.clear()
            return True
        subject = statement.subject()
        waiting = {key for key in self._waiting.pop(subject, ()) if people.register.is_in_role(key)}
        again = signer in waiting
        waiting.add(signer)
        if len(waiting) < enough:
            self._waiting[subject] = waiting
        require(not again, "one person approves the same twice")
        return len(waiting) >= enough

    def clear(self) -> None:
        """What was signed so far counts for nothing."""
        self._waiting.clear()
