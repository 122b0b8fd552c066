"""What one party may take up at a relay; every bound is a member's own, so that nobody can use up another's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quotas:
    """Bounds for each member, and for all strangers together."""

    blob_bytes: int = 32 * 1024**3
    """Bytes of a member's blobs and begun uploads; its own oldest blobs make room for a new one."""
    uploads: int = 16
    """A member's begun uploads."""
    mailbox_letters: int = 10_000
    """Letters that wait for a member."""
    mailbox_bytes: int = 1024**3
    """Bytes of the letters that wait for a member."""
    senders_share: int = 4
    """One sender may fill at most one part in so many of somebody's mailbox."""
    requests: int = 32
    """A member's requests that are answered at the same time, those that wait for mail included."""
    waiting: int = 8
    """Of these, those that may wait for mail; more are answered at once."""
    nonces: int = 100_000
    """A member's requests within ten minutes, which the relay remembers so that none can be made again."""
    connections: int = 64
    """A member's open connections."""
    strangers: int = 256
    """Open connections that have not yet shown a member's signature; the oldest makes room for a new one."""
