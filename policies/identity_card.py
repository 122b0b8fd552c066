"""Identity cards: a party's public keys, signed by itself; whoever talks to it, or audits it, pins the card."""

import base64
from typing import Literal, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from pydantic import model_validator

from policies.statements.canonical import canonical_bytes
from policies.statements.digests import digest_bytes, party_of
from policies.statements.schema import PartyId, PartyName, PublicKey, Signature, StrictModel, parse_model
from policies.statements.signed import verify

MAXIMUM_CARD_BYTES = 4096
_FINGERPRINT_BYTES = 10

Role = Literal["datasite", "researcher"]


class IdentityCard(StrictModel):
    """A party's public keys, signed by itself; worth something only once its fingerprint was compared in person."""

    version: Literal["cloister-card/1"]
    name: PartyName
    role: Role
    signing_key: PublicKey
    sealing_key: PublicKey
    log_key: PublicKey | None
    owner_key: PublicKey | None
    signature: Signature

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.log_key is not None) != (self.role == "datasite"):
            raise ValueError("a datasite has a log key, and a researcher has none")
        if self.owner_key is not None and self.role != "datasite":
            raise ValueError("only a datasite has an owner key")
        keys = [key for key in self._keys() if key is not None]
        if len(set(keys)) != len(keys):
            raise ValueError("one key is given two duties; each duty has its own")
        try:
            X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(self.sealing_key)))
        except ValueError as error:
            raise ValueError("the sealing key is a point of low order, to which nothing can be sealed") from error
        return self

    @property
    def party(self) -> PartyId:
        """The name that messages, terms and logs use for this party."""
        return party_of(bytes.fromhex(self.signing_key))

    @property
    def cosigning_key(self) -> bytes:
        """What verifies this party's cosignatures on other logs: a datasite's log key, a researcher's signing key."""
        return bytes.fromhex(self.log_key or self.signing_key)

    @property
    def fingerprint(self) -> str:
        """80 bits over all keys, as four groups of four letters and digits, for reading aloud."""
        keys = (bytes.fromhex(key or "") for key in self._keys())
        letters = base64.b32encode(digest_bytes("fingerprint", *keys)[:_FINGERPRINT_BYTES]).decode()
        return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))

    def _keys(self) -> tuple[str, str, str | None, str | None]:
        return self.signing_key, self.sealing_key, self.log_key, self.owner_key


def parse_card(data: bytes) -> IdentityCard:
    """Read a card that somebody handed over, and check that its holder signed it.

    Raises:
        InvalidInputError: it is not a card.
        NotAuthenticError: it was changed after it was signed.
    """
    card = parse_model(IdentityCard, data, maximum_bytes=MAXIMUM_CARD_BYTES, what="The identity card")
    fields = card.model_dump(mode="json", exclude={"signature"})
    signing_key, signature = bytes.fromhex(card.signing_key), bytes.fromhex(card.signature)
    verify(signing_key, signature, "card", canonical_bytes(fields), what="the identity card")
    return card
