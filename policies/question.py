"""Questions that a site's people ask on a request, each signed by the person who asks; and their bounds."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.errors import RefusedError
from policies.people.appointment import SignedAppointment
from policies.people.signer import Person, person_signature, require_person, require_role
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp

MOST_QUESTIONS = 20

QuestionNumber = Annotated[int, Field(ge=1, le=MOST_QUESTIONS)]
"""Which question on its request this is at its site, from 1."""


class Question(StrictModel):
    """One question to the researcher of one request; sent and logged as it stands: nothing private belongs here."""

    version: Literal["cloister-question/1"]
    site: PartyId
    request: Digest
    number: QuestionNumber
    text: Text
    asked_at: Timestamp


class SignedQuestion(StrictModel):
    """A question under the signature of the person who asks."""

    question: Question
    signer: PublicKey
    appointment: SignedAppointment | None
    signature: Signature


def sign_question(
    private_key: Ed25519PrivateKey, appointment: SignedAppointment | None, question: Question
) -> SignedQuestion:
    """Sign `question`; `appointment` is the signer's, None for the owner."""
    return SignedQuestion(question=question, **person_signature(private_key, appointment, "question", question))


def require_asked(signed: SignedQuestion, owner_key: bytes, site: PartyId) -> Person:
    """The person of `site` who asks; `owner_key` is the raw 32-byte key pinned for it.

    Raises:
        NotAuthenticError: no such person signed it, or it is not the question that was signed.
        RefusedError: an auditor signed it, or it is another site's question.
    """
    person = require_person(signed, signed.question, owner_key, site, "question", what="the question")
    require_role(person, "owner", "reviewer", what="ask a researcher")
    if signed.question.site != site:
        raise RefusedError("The question is another site's.")
    return person
