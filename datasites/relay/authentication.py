"""Tells members from strangers by a request's headers alone, before a byte of its body is read or anything written."""

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from datasites.protocol.relay_wire import SignedRequest, parse_headers
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, UnavailableError
from policies.statements.schema import PartyId

CLOCK_TOLERANCE_SECONDS = 300
_STRANGER = "This request is not signed by a member of this relay for this address."


class OldSessionError(ConflictError):
    """A member's request for another session of this relay: to be signed anew."""


@dataclass
class Authentication:
    """One session of a relay: its members' keys as far as they were needed, and the requests that were made in it.

    A member's key never changes, since its party is the key's digest; so what was once read stays true, and a stranger
    is looked up anew each time: the operator may admit it from another process at any moment.
    """

    audience: str
    signing_key: Callable[[PartyId], bytes | None]
    nonces_each: int
    session: str = field(default_factory=lambda: secrets.token_hex(16))
    _keys: dict[PartyId, bytes] = field(default_factory=dict)
    _nonces: dict[PartyId, "_Nonces"] = field(default_factory=dict)

    def authenticate(self, method: str, target: str, headers: Mapping[str, str], now: int) -> SignedRequest:
        """The request as its member signed it; it cannot be made again, in this session or another.

        Raises:
            NotAuthenticError: a stranger, or a request signed for another relay, path or body: one sentence for all.
            OldSessionError: signed by a member, but not for this session.
            ConflictError: signed by a member, but more than five minutes off this clock, or made before.
            UnavailableError: the member makes more requests than the relay can remember.
        """
        try:
            request, signature = parse_headers(headers, self.audience, method, target)
            request.verify(self._key(request.party), signature)
        except (InvalidInputError, NotAuthenticError) as error:
            raise NotAuthenticError(_STRANGER) from error
        if request.session != self.session:
            raise OldSessionError("This request was signed for another session of this relay; sign it anew.")
        if abs(now - request.time) > CLOCK_TOLERANCE_SECONDS:
            raise ConflictError(f"This request is more than {CLOCK_TOLERANCE_SECONDS} seconds off the relay's clock.")
        self._nonces.setdefault(request.party, _Nonces(self.nonces_each)).use(request.nonce, now)
        return request

    def _key(self, party: PartyId) -> bytes:
        known = self._keys.get(party) or self.signing_key(party)
        if known is None:
            raise NotAuthenticError(_STRANGER)
        self._keys[party] = known
        return known


class _Nonces:
    """One member's nonces for as long as a request that carries one could be accepted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used: set[str] = set()
        self._by_age: deque[tuple[int, str]] = deque()

    def use(self, nonce: str, now: int) -> None:
        # Its time is at most the tolerance ahead of `now`, and is accepted until the tolerance has passed after it.
        while self._by_age and self._by_age[0][0] < now - 2 * CLOCK_TOLERANCE_SECONDS:
            self._used.remove(self._by_age.popleft()[1])
        if nonce in self._used:
            raise ConflictError("This request was made before; a new one needs a new nonce.")
        if len(self._used) >= self._most:
            raise UnavailableError("This member makes too many requests; wait a few minutes.")
        self._used.add(nonce)
        self._by_age.append((now, nonce))
