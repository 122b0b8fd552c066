"""A sealed link between two workers on different machines of one site: what goes over the network is private data.

Clipped sums without noise are as private as the records. Both ends hold the site's worker secret; each connection has
keys of its own (HKDF-SHA256 over the secret and 32 fresh bytes from either end), one for each direction, and every
piece is AES-256-GCM under its number: nobody without the secret can read, join, change, repeat or reorder anything.
Who can see the network still sees when how many bytes pass, which are public numbers; who can cut it ends the training.
"""

import os
import socket
import struct
import threading
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from policies.errors import CloisterError, NotAuthenticError, UnavailableError

SECRET_BYTES = 32
_PIECE_BYTES = 2**20
_TAG_BYTES = 16
_FRESH_BYTES = 32
_LENGTH = struct.Struct(">I")
_NUMBER = struct.Struct(">4xQ")
_DOMAIN = b"cloister-workers/1"


class SealedLink:
    """One end of a connection, after both ends have proved that they hold the secret and mean the same."""

    def __init__(
        self, connection: socket.socket, secret: bytes, agreed: bytes, *, rank: int, calls: bool, seconds: float
    ) -> None:
        """Prove to each other, in at most `seconds` a message, that both hold `secret` and `agreed`.

        Args:
            connection: a connected stream socket; it is closed if this raises.
            agreed: a digest of all that both must have in common.
            rank: of this worker; that of the other one is `other` afterwards.
            calls: whether this end opened the connection.

        Raises:
            NotAuthenticError: the other end does not hold the secret, or means something else.
            UnavailableError: it is gone, or did not answer in time.
        """
        self._connection = connection
        self._sent = self._received = 0
        try:
            connection.settimeout(seconds)
            own = os.urandom(_FRESH_BYTES)
            self._write(own)
            theirs = bytes(self._read(_FRESH_BYTES))
            keys = HKDF(SHA256(), 2 * SECRET_BYTES, own + theirs if calls else theirs + own, _DOMAIN + agreed)
            content = keys.derive(secret)
            callers, listeners = AESGCM(content[:SECRET_BYTES]), AESGCM(content[SECRET_BYTES:])
            self._sealer, self._opener = (callers, listeners) if calls else (listeners, callers)
            self.send(_LENGTH.pack(rank))
            (self.other,) = _LENGTH.unpack(self.receive())
            connection.settimeout(None)
        except BaseException:
            connection.close()
            raise

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
            raise NotAuthenticError("What came over a link between workers has a length that none of them sends.")
        try:
            content = self._opener.decrypt(_NUMBER.pack(self._received), bytes(self._read(length)), None)
        except InvalidTag as error:
            raise NotAuthenticError(
                "What came over a link between workers was not sealed by one that holds this site's worker secret and "
                "computes the same round of the same study on the same shards."
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
        with suppress(CloisterError, OSError):
            while True:
                local.sendall(self.receive())
        self._end(local)
        outward.join()

    def _carry_out(self, local: socket.socket) -> None:
        with suppress(CloisterError, OSError):
            while content := local.recv(_PIECE_BYTES):
                self.send(content)
        self._end(local)

    def _end(self, local: socket.socket) -> None:
        for end in (local, self._connection):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _write(self, content: bytes) -> None:
        try:
            self._connection.sendall(content)
        except OSError as error:
            raise UnavailableError("A worker is gone, or did not answer in time.") from error

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        left = memoryview(content)
        while left:
            try:
                got = self._connection.recv_into(left)
            except OSError as error:
                raise UnavailableError("A worker is gone, or did not answer in time.") from error
            if got == 0:
                raise UnavailableError("A worker is gone.")
            left = left[got:]
        return content
