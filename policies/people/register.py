"""Who has a role at one site: its owner's appointments and dismissals, one after the other."""

from collections.abc import Container

from policies.errors import ConflictError, NotAuthenticError, RefusedError
from policies.people.agreement import same_name
from policies.people.appointment import (
    Appointment,
    Dismissal,
    SignedAppointment,
    SignedDismissal,
    verify_appointment,
    verify_dismissal,
)
from policies.people.signer import OWNER_NAME, PersonSigned
from policies.statements.digests import party_of
from policies.statements.schema import PartyId, PublicKey


class Register:
    """The people of one site. A key is appointed once and never again: whoever gets a new one is appointed anew."""

    def __init__(self, site: PartyId, owner_key: bytes, service_keys: Container[PublicKey]) -> None:
        """Nobody but the owner of `site` (raw 32-byte key); `service_keys` are those that the site itself signs by."""
        self._site = site
        self._owner_key = owner_key
        self._service_keys = service_keys
        self._appointed: dict[PublicKey, SignedAppointment] = {}
        self._dismissed: dict[PublicKey, SignedDismissal] = {}
        self._in_role: dict[PublicKey, Appointment] = {}
        self._parties: set[PartyId] = set()

    def appoint(self, signed: SignedAppointment, pinned: Container[PartyId]) -> Appointment:
        """Give a person a role; `pinned` are the parties whose signing keys serve as identities here.

        Raises:
            NotAuthenticError: the owner of this site did not sign it.
            ConflictError: the key serves already, or somebody in a role has that name or identity.
        """
        new = verify_appointment(signed, self._owner_key, self._site)
        if new.key == self._owner_key.hex():
            raise ConflictError("This is the owner's own key; a person has a key of their own.")
        if new.key in self._appointed:
            raise ConflictError("This key was appointed before; a person who is appointed anew has a new key.")
        if new.key in self._service_keys or party_of(bytes.fromhex(new.key)) in pinned:
            raise ConflictError("This key signs for a site or a researcher; a person has a key of their own.")
        if same_name(new.name, OWNER_NAME):
            raise ConflictError(f"«{new.name}» would be taken for the owner; choose another name.")
        for other in self.in_role():
            if same_name(other.name, new.name):
                raise ConflictError(f"«{other.name}» has a role here already; dismiss them first, or choose a name.")
            if new.researcher is not None and other.researcher == new.researcher:
                raise ConflictError(f"«{other.name}» has a role here as the same researcher already.")
        self._take(new, signed)
        return new

    def restore(self, appointment: SignedAppointment, dismissal: SignedDismissal | None) -> None:
        """Take in an appointment that was made before, and how it ended, if it did.

        Raises:
            NotAuthenticError: the owner of this site did not sign it.
            ConflictError: the dismissal is another person's.
        """
        self._take(verify_appointment(appointment, self._owner_key, self._site), appointment)
        if dismissal is not None:
            self.dismiss(dismissal)

    def dismiss(self, signed: SignedDismissal) -> Dismissal:
        """Take a person's role away.

        Raises:
            NotAuthenticError: the owner of this site did not sign it.
            ConflictError: nobody has a role under this key.
        """
        dismissal = verify_dismissal(signed, self._owner_key, self._site)
        if dismissal.key not in self._in_role:
            raise ConflictError("Nobody has a role under this key.")
        del self._in_role[dismissal.key]
        self._dismissed[dismissal.key] = signed
        return dismissal

    def in_role(self) -> tuple[Appointment, ...]:
        """Everybody who has a role now beside the owner, in the order of their appointments."""
        return tuple(self._in_role.values())

    def is_in_role(self, key: PublicKey) -> bool:
        """Whether this is the owner's key, or that of a person who has a role now."""
        return key == self._owner_key.hex() or key in self._in_role

    def dismissal(self, key: PublicKey) -> SignedDismissal | None:
        """The word by which the person with this key was dismissed, if they were."""
        return self._dismissed.get(key)

    def holds(self, party: PartyId) -> bool:
        """Whether this party's signing key is one that was ever appointed."""
        return party in self._parties

    def appointment_of(self, key: PublicKey) -> SignedAppointment | None:
        """The appointment of this key; None if it is the owner's.

        Raises:
            NotAuthenticError: it is nobody's of this site.
        """
        if key == self._owner_key.hex():
            return None
        if key not in self._appointed:
            raise NotAuthenticError("This key is neither the owner's nor one that the owner appointed at this site.")
        return self._appointed[key]

    def require_appointed(self, signed: PersonSigned) -> None:
        """Check that `signed` is by the owner, or by somebody who was appointed here just as it says.

        Raises:
            NotAuthenticError: it is not.
        """
        if self.appointment_of(signed.signer) != signed.appointment:
            raise NotAuthenticError("The signature stands under another appointment than the one that was made here.")

    def require_in_role(self, signed: PersonSigned) -> None:
        """Check the same, and that its signer was not dismissed.

        Raises:
            NotAuthenticError: it is not by the owner or anybody who was appointed here as it says.
            RefusedError: its signer was dismissed.
        """
        self.require_appointed(signed)
        if signed.signer in self._dismissed:
            raise RefusedError(f"{self._appointed[signed.signer].appointment.name} was dismissed, and decides no more.")

    def _take(self, appointment: Appointment, signed: SignedAppointment) -> None:
        self._appointed[appointment.key] = signed
        self._in_role[appointment.key] = appointment
        self._parties.add(party_of(bytes.fromhex(appointment.key)))
