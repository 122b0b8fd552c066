"""People of a datasite in tests: reviewers and auditors with keys of their own, and rules that ask for several."""

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.people.appoint import appoint, dismiss
from policies.people.appointment import AppointedRole, Appointment, SignedAppointment, sign_appointment
from tests.one_site import Scene


@dataclass(frozen=True)
class Holder:
    """Somebody with a decision key, and the name by which they are appointed."""

    name: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> str:
        return self.key.public_key().public_bytes_raw().hex()


def appointment(
    owner_key: Ed25519PrivateKey, site: str, holder: Holder, role: AppointedRole = "reviewer", **changes: Any
) -> SignedAppointment:
    """An appointment under this owner's key, which no datasite knows of."""
    fields: dict[str, Any] = {
        "version": "cloister-appointment/1",
        "site": site,
        "name": holder.name,
        "role": role,
        "key": holder.public,
        "researcher": None,
        "appointed_at": 20,
    }
    return sign_appointment(owner_key, Appointment(**(fields | changes)))


def hire(scene: Scene, holder: Holder, role: AppointedRole = "reviewer", researcher: str | None = None) -> Holder:
    """The owner appoints somebody."""
    with scene.site.engine.begin() as connection:
        appoint(
            connection,
            scene.site,
            scene.owner_key,
            name=holder.name,
            role=role,
            key=holder.public,
            researcher=researcher,
        )
    return holder


def fire(scene: Scene, holder: Holder, reason: str = "She left.") -> None:
    """The owner dismisses somebody."""
    with scene.site.engine.begin() as connection:
        dismiss(connection, scene.site, scene.owner_key, name=holder.name, reason=reason)


def ask_for(scene: Scene, **approvals: object) -> None:
    """Let the owner set the section `[approvals]` of the house rules, numbers or names of approvers, and adopt it."""
    before, rest = scene.site.home.house_rules_file.read_text().split("[approvals]")
    after = rest.split("[shown]", 1)[1]
    lines = "".join(f"{name} = {value}\n" for name, value in approvals.items())
    scene.adopt(f"{before}[approvals]\n{lines}\n[shown]{after}")
