"""The coordinator's side of a round: add up the cohort's masked vectors as they arrive, believing each when checked."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from datasites.secure_averaging.keystream import BLOCK_NUMBERS
from datasites.secure_averaging.layout import vector_length
from policies.errors import ConflictError, NotAuthenticError, UnavailableError
from policies.masked_vector import running_vector_digest, verify_vector
from policies.statements.digests import RunningDigest
from policies.terms import Terms


class RunningSum:
    """The sum modulo 2³² of one round's vectors; the masks cancel once the whole cohort is in, and not before.

    It holds one vector, to which each answer is added while it arrives and before it could be checked to its end. So
    after an error that `add` raised in the middle of an answer, the sum is of no use: nothing can be added to it or
    read from it any more, and the round is added up anew from the first answer. A total is read only after every site
    of the cohort was added and verified, each once.
    """

    def __init__(self, terms: Terms, round_number: int, context: bytes, pinned: Mapping[str, bytes]) -> None:
        """Start an empty sum.

        Args:
            context: the coordinator's own `round_context` for this round.
            pinned: each site's Ed25519 signing key (raw, 32 bytes), by its party id.
        """
        self._cohort = [member.site for member in terms.cohort]
        self._round_number = round_number
        self._context = context
        self._pinned = pinned
        self._sum = np.zeros(vector_length(terms, round_number), "<u4")
        self._verified: set[str] = set()
        self._spoilt = False

    def add(
        self, site: str, context: bytes, vector_digest: str, signature: bytes, pieces: Iterable[bytes | memoryview]
    ) -> None:
        """Add the vector of `site` (little-endian uint32), whose bytes come in pieces of any size.

        Args:
            context: the round's context that the site's message names.
            vector_digest: what the site announced and signed, 64 hexadecimal digits.
            signature: over both, 64 bytes.

        Raises:
            NotAuthenticError: the site is not of the cohort or not pinned, the context is another, the signature is
                not by its key (none of these spoils the sum), or the bytes are not those that it signed.
            ConflictError: the site was added before, or the sum is spoilt by an earlier error.
            InvalidInputError: the vector is shorter or longer than the terms give this round.
        """
        self._require_usable()
        if site not in self._cohort:
            raise NotAuthenticError(
                "An answer comes from a site outside the cohort; only sites that the terms name count."
            )
        if site in self._verified:
            raise ConflictError(f"Site {site} is in this sum already; each site counts once.")
        if context != self._context:
            raise NotAuthenticError(
                f"Site {site} answered for another round, roster or global model than the coordinator's."
            )
        if site not in self._pinned:
            raise NotAuthenticError(f"Site {site} is not pinned here; exchange identity cards with it first.")
        verify_vector(self._pinned[site], signature, site, context, vector_digest)
        self._spoilt = True
        digest = running_vector_digest(self._sum.size)
        self._add_pieces(digest, pieces)
        if digest.hexdigest() != vector_digest:
            raise NotAuthenticError(f"The masked update that arrived for site {site} is not the one that it signed.")
        self._verified.add(site)
        self._spoilt = False

    def total(self) -> NDArray[np.uint32]:
        """The sum over the whole cohort, for `layout.decode`; the array itself, no copy.

        Raises:
            UnavailableError: an answer is missing; the sum opens for the whole cohort or not at all.
            ConflictError: an error spoilt the sum.
        """
        self._require_usable()
        if missing := [site for site in self._cohort if site not in self._verified]:
            raise UnavailableError(
                f"Round {self._round_number} lacks the answers of {', '.join(missing)}; the sum opens only with all "
                f"{len(self._cohort)} sites. Wait for them, or resume the study when they are back."
            )
        return self._sum

    def _require_usable(self) -> None:
        if self._spoilt:
            raise ConflictError("An answer broke off or was refused while it was added; add the round up anew.")

    def _add_pieces(self, digest: RunningDigest, pieces: Iterable[bytes | memoryview]) -> None:
        place, started = 0, b""
        for piece in pieces:
            content = memoryview(piece).cast("B")
            for start in range(0, len(content), 4 * BLOCK_NUMBERS):
                stretch = content[start : start + 4 * BLOCK_NUMBERS]
                digest.update(stretch)
                if started:  # a number that the last stretch began
                    missing = 4 - len(started)
                    started, stretch = started + bytes(stretch[:missing]), stretch[missing:]
                    if len(started) < 4:
                        continue
                    place = self._add_numbers(place, started)
                whole = len(stretch) // 4 * 4
                place = self._add_numbers(place, stretch[:whole])
                started = bytes(stretch[whole:])

    def _add_numbers(self, place: int, numbers: bytes | memoryview) -> int:
        block = np.frombuffer(numbers, "<u4")
        part = self._sum[place : place + block.size]
        np.add(part, block, out=part)
        return place + block.size
