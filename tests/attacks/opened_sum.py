"""What an honest researcher tells a site of the test scene about a round that it answered, for liars to bend."""

from datasites.protocol.log_messages import SumOpenedMessage
from datasites.protocol.messages import MaskedUpdateMessage
from datasites.requests.records import Request
from datasites.requests.sums import take_sum
from policies.masked_vector import sign_vector
from policies.sums import OpenedSum, SignedSum, Summand, sign_sum
from tests.one_site import Scene


def summands(scene: Scene, answer: MaskedUpdateMessage) -> tuple[Summand, ...]:
    """The site's own answer, and those of its partners as these would sign them."""
    own = Summand(site=scene.site.identity.party, vector_digest=answer.vector_digest, signature=answer.signature)
    others = []
    for place, partner in enumerate(scene.partners):
        vector = f"{place + 1:064x}"
        signature = sign_vector(partner.signing, partner.party, bytes.fromhex(answer.round_context), vector)
        others.append(Summand(site=partner.party, vector_digest=vector, signature=signature.hex()))
    return own, *others


def opened_sum(scene: Scene, request: Request, answer: MaskedUpdateMessage, **changes: object) -> SignedSum:
    opened = OpenedSum(
        version="cloister-sum/1",
        request=request.digest,
        round=answer.round,
        round_context=answer.round_context,
        summands=summands(scene, answer),
        total="ee" * 32,
    )
    return sign_sum(scene.researcher.signing, opened.model_copy(update=changes))


def tell(scene: Scene, signed: SignedSum, sender: str | None = None, study: str | None = None) -> bool:
    """Let the site take the researcher's word; whether it was new."""
    message = SumOpenedMessage(study=study or scene.terms().study, signed=signed)
    with scene.site.engine.begin() as connection:
        return take_sum(connection, scene.site, sender or scene.researcher.party, message, scene.now)
