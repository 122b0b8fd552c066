"""Advertisements: the signed mask keys by which sites enter one run of one study, and the roster that they form."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from policies.errors import InvalidInputError, NotAuthenticError, RefusedError
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import digest
from policies.statements.schema import Digest, PartyId, StrictModel
from policies.statements.signed import sign, verify
from policies.terms import Terms

_DOMAIN = "mask-advertisement"
_FIELD_PRIME = 2**255 - 19
# u-coordinates of the points of order 1, 2, 4 and 8 on Curve25519 and its twist: with one of these as a peer's key the
# shared secret is the same for everybody. Non-canonical spellings are refused separately.
_LOW_ORDER = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)


def _usable_point(key: str) -> str:
    coordinate = int.from_bytes(bytes.fromhex(key), "little")
    if coordinate >= _FIELD_PRIME or coordinate in _LOW_ORDER:
        raise ValueError("a mask key must be a canonical X25519 point of large order; ask the site for a fresh one")
    return key


MaskKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), AfterValidator(_usable_point)]
"""An X25519 public key (RFC 7748), 64 hexadecimal digits, canonical and not of low order."""

Run = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Names one execution of a study, 32 hexadecimal digits."""


class Advertisement(StrictModel):
    """What a site tells its cohort before the first round: key `keys[r − 1]` serves in round r and never again."""

    site: PartyId
    terms: Digest
    run: Run
    keys: Annotated[tuple[MaskKey, ...], Field(min_length=1, max_length=10_001)]
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("a mask key is named for two rounds; each round needs its own")
        return self

    def key(self, round_number: int) -> bytes:
        """The raw public key for `round_number` (from 1).

        Raises:
            InvalidInputError: no key was advertised for that round.
        """
        if not 1 <= round_number <= len(self.keys):
            raise InvalidInputError(f"Round {round_number} has no mask key; rounds 1 to {len(self.keys)} have one.")
        return bytes.fromhex(self.keys[round_number - 1])

    def verify(self, signing_key: bytes) -> None:
        """Check the signature against the site's pinned Ed25519 key (raw, 32 bytes).

        Raises:
            NotAuthenticError: the signature is by another key, or over other content.
        """
        payload = _payload(self.site, self.terms, self.run, self.keys)
        verify(signing_key, bytes.fromhex(self.signature), _DOMAIN, payload, what=f"the mask keys of site {self.site}")


def create(
    identity_signing_key: Ed25519PrivateKey, site: str, terms_digest: str, run: str, rounds: int
) -> tuple[Advertisement, list[bytes]]:
    """Draw `rounds` fresh X25519 key pairs and sign their public halves.

    Returns the advertisement and the raw private keys (32 bytes each, in round order). They stay at the site, and each
    is deleted once its round's masked update is stored.
    """
    private_keys = [X25519PrivateKey.generate() for _ in range(rounds)]
    keys = tuple(key.public_key().public_bytes_raw().hex() for key in private_keys)
    signature = sign(identity_signing_key, _DOMAIN, _payload(site, terms_digest, run, keys))
    advertisement = Advertisement(site=site, terms=terms_digest, run=run, keys=keys, signature=signature.hex())
    return advertisement, [key.private_bytes_raw() for key in private_keys]


def roster_digest(advertisements: Sequence[Advertisement]) -> str:
    """The digest of a whole roster, whatever the order it came in."""
    ordered = sorted(advertisements, key=lambda entry: entry.site)
    return digest("roster", *(entry.canonical() for entry in ordered))


def require_cohort(advertisements: Sequence[Advertisement], terms: Terms) -> None:
    """Check that the roster names each site of the terms once and nobody else, and is no smaller than they allow.

    Raises:
        RefusedError: it does not.
    """
    sites = [entry.site for entry in advertisements]
    smallest = max(2, terms.secure_averaging.minimum_cohort, terms.secure_averaging.colluders + 2)
    if len(sites) < smallest:
        raise RefusedError(f"The roster has {len(sites)} sites; a sum needs at least {smallest} to hide one of them.")
    if sorted(sites) != sorted(member.site for member in terms.cohort):
        raise RefusedError(
            f"The roster ({len(sites)} entries) is not the cohort of the terms ({len(terms.cohort)} sites, each once); "
            "a sum over any other cohort is refused."
        )


def check_roster(advertisements: Sequence[Advertisement], terms: Terms, run: str, pinned: Mapping[str, bytes]) -> str:
    """Check a roster as the coordinator does, before sending it out; returns its digest.

    Args:
        pinned: each site's Ed25519 signing key (raw, 32 bytes), by its party id.

    Raises:
        RefusedError: it is not exactly the cohort of the terms.
        NotAuthenticError: a site is not pinned here, or its signature is by another key.
        InvalidInputError: an entry is for other terms or another run, has a wrong number of keys, or repeats one.
    """
    require_cohort(advertisements, terms)
    terms_digest = terms.digest()
    seen: set[str] = set()
    for entry in advertisements:
        if entry.terms != terms_digest or entry.run != run:
            raise InvalidInputError(f"The mask keys of site {entry.site} are for another study or run.")
        if len(entry.keys) != terms.sums:
            raise InvalidInputError(
                f"Site {entry.site} advertised {len(entry.keys)} mask keys; the terms need {terms.sums}, a key a round."
            )
        if not seen.isdisjoint(entry.keys):
            raise InvalidInputError(f"Site {entry.site} advertised a mask key of another site; keys are never shared.")
        seen.update(entry.keys)
        if entry.site not in pinned:
            raise NotAuthenticError(f"Site {entry.site} is not pinned here; exchange identity cards with it first.")
        entry.verify(pinned[entry.site])
    return roster_digest(advertisements)


def verify_roster(
    advertisements: Sequence[Advertisement],
    terms: Terms,
    run: str,
    own_site: str,
    own_advertisement: Advertisement,
    pinned: Mapping[str, bytes],
) -> str:
    """Check a roster as a site does, before it masks anything for it; returns the roster's digest.

    Args:
        pinned: the Ed25519 signing keys (raw, 32 bytes) of the whole cohort, this site's own included, by party id.

    Raises:
        NotAuthenticError: this site's own entry was changed; or as `check_roster`.
        RefusedError: as `check_roster`.
        InvalidInputError: as `check_roster`.
    """
    named = check_roster(advertisements, terms, run, pinned)
    if own_advertisement not in [entry for entry in advertisements if entry.site == own_site]:
        raise NotAuthenticError("The roster holds other mask keys for this site than it advertised for this run.")
    return named


def _payload(site: str, terms: str, run: str, keys: tuple[str, ...]) -> bytes:
    return canonical_bytes({"site": site, "terms": terms, "run": run, "keys": list(keys)})
