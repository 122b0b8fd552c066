"""Tells members from strangers by a request's headers alone, before a byte of its body is read or anything written."""

from collections.abc import Mapping

from datasites.protocol.relay_wire import SignedRequest, parse_headers
from datasites.relay.store import RelayStore
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError

CLOCK_TOLERANCE_SECONDS = 300
_STRANGER = "This request is not signed by a member of this relay for this address."


def authenticate(
    store: RelayStore, audience: str, method: str, target: str, headers: Mapping[str, str], now: int
) -> SignedRequest:
    """The request as its member signed it; it cannot be made again.

    Raises:
        NotAuthenticError: a stranger, or a request signed for another relay, path or body: one sentence for all.
        ConflictError: signed by a member, but more than five minutes off this clock, or made before.
    """
    try:
        request, signature = parse_headers(headers, audience, method, target)
        signing_key = store.signing_key(request.party)
        if signing_key is None:
            raise NotAuthenticError(_STRANGER)
        request.verify(signing_key, signature)
    except (InvalidInputError, NotAuthenticError) as error:
        raise NotAuthenticError(_STRANGER) from error
    if abs(now - request.time) > CLOCK_TOLERANCE_SECONDS:
        raise ConflictError(f"This request is more than {CLOCK_TOLERANCE_SECONDS} seconds off the relay's clock.")
    store.use_nonce(request.party, request.nonce, request.time + CLOCK_TOLERANCE_SECONDS, now)
    return request
