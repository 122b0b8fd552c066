"""The honest log's first round, as its researcher opened its sum: both sites' vectors, each signed by its site."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.identity_card import party_of
from policies.log.witness_entries import SumOpened
from policies.masked_vector import sign_vector
from policies.sums import OpenedSum, Summand, sign_sum
from tests.attacks.honest_log import ADA, HONEST, PARTNER, REQUEST, SITE, Entries, computed

OWN_VECTOR, PARTNERS_VECTOR, TOTAL = "11" * 32, "22" * 32, "33" * 32


def summand(key: Ed25519PrivateKey, vector: str, context: str = computed(1).round_context) -> Summand:
    site = party_of(key.public_key().public_bytes_raw())
    signature = sign_vector(key, site, bytes.fromhex(context), vector)
    return Summand(site=site, vector_digest=vector, signature=signature.hex())


OPENED_SUM = OpenedSum(
    version="cloister-sum/1",
    request=REQUEST,
    round=1,
    round_context=computed(1).round_context,
    summands=(summand(SITE, OWN_VECTOR), summand(PARTNER, PARTNERS_VECTOR)),
    total=TOTAL,
)


def opened(key: Ed25519PrivateKey = ADA, **changes: object) -> SumOpened:
    return SumOpened(at=260, signed=sign_sum(key, OPENED_SUM.model_copy(update=changes)))


SUM_OPENED = opened()
HONEST_WITH_SUM: Entries = [*HONEST, SUM_OPENED]
