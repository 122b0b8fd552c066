"""Log entries on who has a role at the site: the owner's signed appointments and dismissals, its changes of keys."""

from typing import Literal

from policies.log.entry import Entry
from policies.people.appointment import SignedAppointment, SignedDismissal


class PersonAppointed(Entry):
    """The owner gave a person a role, under a key of their own; the signed appointment itself."""

    kind: Literal["person-appointed"] = "person-appointed"
    signed: SignedAppointment


class PersonDismissed(Entry):
    """The owner took a person's role away; what they signed from here on counts for nothing."""

    kind: Literal["person-dismissed"] = "person-dismissed"
    signed: SignedDismissal


PeopleEntry = PersonAppointed | PersonDismissed
