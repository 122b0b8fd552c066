"""The mailbox client: hands sealed mail and blobs to a relay and fetches them, trusting the relay with nothing else."""

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from datasites.protocol.blobs import BlobReference, blob_digest
from datasites.protocol.identity import Identity
from datasites.protocol.relay_connection import RelayConnection, read_reply, unreachable
from datasites.protocol.relay_wire import (
    LONGEST_WAIT_SECONDS,
    MAXIMUM_BATCH_BYTES,
    Fate,
    batches,
    join_letters,
    split_letters,
)
from datasites.protocol.sealed import Sealed
from policies.errors import InvalidInputError, RefusedError, UnavailableError

_SHORT_REPLY_BYTES = 4096
_SHORTEST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 4.0


class Mailbox:
    """One party's mailbox at one relay. Every method may be called from any thread, and raises:

    NotAuthenticError: the relay does not know this identity.
    RefusedError: the relay refuses such a request for good.
    UnavailableError: the relay cannot be reached, is full, stalls or answers nonsense; trying again may help.
    """

    def __init__(self, identity: Identity, relay_url: str, clock: Callable[[], float] = time.time) -> None:
        self._relay = RelayConnection(identity, relay_url, clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections to the relay."""
        self._relay.close()

    def send(self, letters: Sequence[bytes]) -> list[Fate]:
        """Hand over sealed letters to anybody, in one request where they fit; says what became of each.

        Those taken are on the relay's disk when this returns. Handing over a letter again that waits changes nothing.
        """
        fates: list[Fate] = []
        for batch in batches(letters):
            body = join_letters(enumerate(batch, 1))
            reply = self._relay.ask("POST", "/mail", body, limit=_SHORT_REPLY_BYTES)
            if len(reply) != len(batch) or max(reply) > max(Fate):
                raise UnavailableError("The relay's answer does not fit the letters; try again.")
            fates += map(Fate, reply)
        return fates

    def receive(self, after: int, wait_seconds: float, forget: int | None = None) -> list[tuple[int, bytes]]:
        """The next letters behind cursor `after` (0 for the first), oldest first, each with its cursor.

        The relay forgets those up to `forget` (`after`, if not said otherwise), on which the caller has durably acted.
        Waits up to `wait_seconds` (at most 25) for one; an empty list says that none came. A batch may be partial.
        """
        wait_milliseconds = round(1000 * min(max(wait_seconds, 0.0), LONGEST_WAIT_SECONDS))
        target = f"/mail?after={after}&forget={after if forget is None else forget}&wait={wait_milliseconds}"
        reply = self._relay.ask("GET", target, limit=MAXIMUM_BATCH_BYTES, wait_seconds=wait_milliseconds / 1000)
        try:
            return split_letters(reply, after)
        except InvalidInputError as error:
            raise UnavailableError(str(error)) from error

    def put_blob(self, sealed: Sealed, seconds: float) -> None:
        """Store sealed content; after a break it goes on where the relay's part of it ends, for up to `seconds`."""
        patience = Patience(seconds)
        while True:
            try:
                return self._put_rest(sealed)
            except UnavailableError as error:
                patience.rest(error)

    def _put_rest(self, sealed: Sealed) -> None:
        digest, size = sealed.reference.digest, sealed.reference.sealed_size
        answer = self._relay.ask("GET", f"/uploads/{digest}?size={size}", limit=_SHORT_REPLY_BYTES)
        if not answer.isdigit() or len(answer) > len(str(size)) or int(answer) > size:
            raise UnavailableError("The relay's answer does not fit this content; try again.")
        if int(answer) < size:
            # Signed for is the whole content's digest, under which alone the relay will ever show it.
            target = f"/blobs/{digest}?offset={int(answer)}&size={size}"
            self._relay.upload(target, digest, size - int(answer), sealed.pieces(int(answer)))

    def get_blob(self, reference: BlobReference, seconds: float) -> Iterator[bytes]:
        """The ciphertext of a blob in pieces, to be given to `blobs.open_stream`: it alone checks that it is right.

        After a break it goes on where it ended, for up to `seconds` in all.
        """
        patience, offset, size = Patience(seconds), 0, reference.sealed_size
        while offset < size:
            try:
                for piece in self._get_rest(reference, offset):
                    offset += len(piece)
                    patience.require_time_left()
                    yield piece
                if offset < size:
                    raise UnavailableError("The relay gave less of this content than there is; try again.")
            except UnavailableError as error:
                patience.rest(error)

    def _get_rest(self, reference: BlobReference, offset: int) -> Iterator[bytes]:
        extra = {"range": f"bytes={offset}-"} if offset else {}
        missing = RefusedError("The relay does not have this content; send it again.")
        with (
            unreachable(),
            self._relay.asked("GET", f"/blobs/{reference.digest}", blob_digest(b""), extra, missing=missing) as reply,
        ):
            yield from read_reply(reply, reference.sealed_size - offset)


class Patience:
    """Trying again with growing pauses until `seconds` have passed."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._pause = _SHORTEST_PAUSE_SECONDS

    def rest(self, error: UnavailableError) -> None:
        """Wait before the next try; raises `error`, for which it is made, when no time is left."""
        if time.monotonic() + self._pause > self._deadline:
            raise error
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def require_time_left(self) -> None:
        """Raises UnavailableError when the time is over, however much still trickles in."""
        if time.monotonic() > self._deadline and self._seconds > 0:
            raise UnavailableError(f"The content did not come within {self._seconds:g} s; try again later.")
