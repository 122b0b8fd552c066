"""A sealed link between two machines of one site that train together: what goes over it is private data.

Records, and clipped sums without noise, are private. Both ends hold the site's secret for its machines; each connection
has keys of its own (HKDF-SHA256 over the secret and what X25519 gives for a fresh key of either end), one for each
direction, and every piece is AES-256-GCM under its number: nobody without the secret can read, join, change, repeat or
reorder anything, and who gets it later reads nothing that passed before. Who can see the network still sees when how
many bytes pass: frames are cut where they are long, not where they happen to come, so that piece by piece these are the
public lengths of frames. Who can cut it ends the training.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from datasites.sandbox.frames import LENGTHS_BYTES, length_after, read_into
from policies.errors import CloisterError, NotAuthenticError, UnavailableError

SECRET_BYTES = 32
_PIECE_BYTES = 2**20
_TAG_BYTES = 16
_PUBLIC_KEY_BYTES = 32
_LENGTH = struct.Struct(">I")
_NUMBER = struct.Struct(">4xQ")
_DOMAIN = b"cloister-machines/1"
_FAREWELL = b""
# A machine that lost power says nothing: an idle link to it is taken for ended after so many seconds. One that only
# does not read for long is alive; what waits for it has a deadline.
_KEPT_ALIVE = {socket.TCP_KEEPIDLE: 15, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}


class SealedLink:
    """One end of a connection, after both ends have proved that they hold the secret.

    `lost`: it ended, and this end did not end it. `failed_here`: set it before this end closes, and the other one's
    `failed_there` says so: a trainer failed by itself, and was not stopped from outside.
    """

    lost = False
    failed_here = False
    failed_there = False

    def __init__(self, connection: socket.socket, secret: bytes, *, rank: int, calls: bool, seconds: float) -> None:
        """Prove to each other, in at most `seconds`, that both hold `secret`.

        Args:
            connection: a connected TCP socket; it is closed if this raises.
            rank: of this machine; that of the other one is `other` afterwards.
            calls: whether this end opened the connection.

        Raises:
            NotAuthenticError: the other end does not hold the secret.
            UnavailableError: it is gone, or did not answer in time.
        """
        self._connection = connection
        self._sent = self._received = 0
        self._deadline: float | None = time.monotonic() + seconds
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEPT_ALIVE.items():
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
            callers, listeners = self._agree(secret, calls)
            self._sealer, self._opener = (callers, listeners) if calls else (listeners, callers)
            self.send(_LENGTH.pack(rank))
            (self.other,) = _LENGTH.unpack(self.receive())
            self._deadline = None
            connection.settimeout(None)
        except BaseException:
            connection.close()
            raise

    def fileno(self) -> int:
        """The connection's descriptor: readable once a piece comes, or the other end is gone."""
        return self._connection.fileno()

    def send(self, content: bytes) -> None:
        """Send one piece of at most 1 MiB.

        Raises:
            UnavailableError: the other end is gone.
        """
        sealed = self._sealer.encrypt(_NUMBER.pack(self._sent), content, None)
        self._sent += 1
        self._write(_LENGTH.pack(len(sealed)) + sealed)

    def receive(self) -> bytes:
        """The next piece.

        Raises:
            NotAuthenticError: it is not the one that the other end sent next.
            UnavailableError: the other end is gone.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if not _TAG_BYTES <= length <= _PIECE_BYTES + _TAG_BYTES:
            raise NotAuthenticError("What came over a link between machines has a length that none of them sends.")
        try:
            content = self._opener.decrypt(_NUMBER.pack(self._received), bytes(self._read(length)), None)
        except InvalidTag as error:
            raise NotAuthenticError(
                "What came over a link between machines was not sealed by one that holds this site's secret."
            ) from error
        self._received += 1
        return content

    def carry(self, local: socket.socket) -> None:
        """Pass on what comes from either side to the other, until one of them is gone; then both are closed.

        Args:
            local: the other end of a trainer's link.
        """
        outward = threading.Thread(target=self._carry_out, args=(local,), daemon=True)
        outward.start()
        try:
            while (content := self.receive()) != _FAREWELL:
                local.sendall(content)
            self.failed_there = True
        except CloisterError:
            self.lost = True
        except OSError:
            pass  # the trainer is gone
        self._end(local)
        outward.join()

    def _carry_out(self, local: socket.socket) -> None:
        with suppress(CloisterError, OSError):
            with suppress(UnavailableError):  # the trainer is gone
                for piece in _pieces(local.fileno()):
                    self.send(piece)
            if self.failed_here:
                self.send(_FAREWELL)
        self._end(local)

    def _agree(self, secret: bytes, calls: bool) -> tuple[AESGCM, AESGCM]:
        """What the caller seals with, and what the listener does, under keys that nobody else has or will have."""
        key = X25519PrivateKey.generate()
        own = key.public_key().public_bytes_raw()
        self._write(own)
        theirs = bytes(self._read(_PUBLIC_KEY_BYTES))
        try:
            shared = key.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError as error:
            raise NotAuthenticError("What came over a link between machines is no key of one of them.") from error
        spoken = own + theirs if calls else theirs + own
        content = HKDF(SHA256(), 2 * SECRET_BYTES, spoken, _DOMAIN).derive(shared + secret)
        return AESGCM(content[:SECRET_BYTES]), AESGCM(content[SECRET_BYTES:])

    def _end(self, local: socket.socket) -> None:
        with suppress(OSError):
            local.shutdown(socket.SHUT_RDWR)
        self.cut()

    def cut(self) -> None:
        """End the connection, from any thread; whoever waits for it is told."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _write(self, content: bytes) -> None:
        try:
            self._wait_no_longer()
            self._connection.sendall(content)
        except OSError as error:
            raise UnavailableError("A machine is gone, or did not answer in time.") from error

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        left = memoryview(content)
        while left:
            try:
                self._wait_no_longer()
                got = self._connection.recv_into(left)
            except OSError as error:
                raise UnavailableError("A machine is gone, or did not answer in time.") from error
            if got == 0:
                raise UnavailableError("A machine is gone.")
            left = left[got:]
        return content

    def _wait_no_longer(self) -> None:
        """Until both have proved themselves, let the next call wait no longer than the deadline."""
        if self._deadline is not None:
            self._connection.settimeout(max(0.001, self._deadline - time.monotonic()))


def _pieces(local: int) -> Iterator[bytes]:
    """The frames that come from `local`, each cut into pieces of 1 MiB but its last one, until that end is gone."""
    while True:
        piece = bytearray(LENGTHS_BYTES)
        read_into(local, memoryview(piece))
        left = length_after(piece)
        while piece or left:
            start = len(piece)
            piece += bytes(min(left, _PIECE_BYTES - start))
            read_into(local, memoryview(piece)[start:])
            left -= len(piece) - start
            yield bytes(piece)
            piece = bytearray()
