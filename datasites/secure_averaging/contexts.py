"""Contexts: what a run's setup and a round's masks are bound to, so that no mask serves anywhere else.

Two sites whose contexts differ (other terms, run, roster, round or global model) derive masks that never cancel
(Pasquini, Francati & Ateniese 2022, arXiv 2111.07380, is the attack that this answers).
"""

from policies.statements.digests import digest_bytes


def setup_context(terms_digest: str, run: str, roster_digest: str) -> bytes:
    """Bind a run to its terms and its roster; 32 bytes. All three are hexadecimal."""
    return digest_bytes(
        "secure-averaging-setup", bytes.fromhex(terms_digest), bytes.fromhex(run), bytes.fromhex(roster_digest)
    )


def round_context(setup: bytes, round_number: int, model_digest: str) -> bytes:
    """Bind a round to its setup, its number (from 1) and the digest of the global model it starts from; 32 bytes."""
    return digest_bytes("secure-averaging-round", setup, round_number.to_bytes(8, "big"), bytes.fromhex(model_digest))
