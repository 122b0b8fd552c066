"""A model in a folder, with its card: written by its researcher, checked by whoever it is handed to."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from datasites.protocol.identity import IdentityCard
from datasites.protocol.private_files import read_given_file
from policies.errors import NotAuthenticError
from policies.rules.approval import RulesGround
from policies.statements.digests import digest
from policies.statements.schema import parse_model
from researcher.approvals import require_approval, told
from researcher.model_card import MAXIMUM_CARD_BYTES, ModelCard

_MODEL, _TEXT, _FACTS = "model.safetensors", "card.md", "card.json"
_MAXIMUM_MODEL_BYTES = 1 << 30


def model_file(parameters: Mapping[str, Tensor]) -> bytes:
    """The parameters as a safetensors file; the same ones give the same bytes."""
    return save({name: parameters[name].contiguous() for name in sorted(parameters)})


def model_digest(file: bytes) -> str:
    """By which a card names its parameter file."""
    return digest("model-file", file)


def write_model(folder: Path, file: bytes, card: ModelCard) -> None:
    """Write the parameters, the card's text, and what the text is made from, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((_MODEL, file), (_TEXT, card.text().encode()), (_FACTS, card.canonical())):
        (folder / name).write_bytes(content)


def check_model(folder: Path | str, cards: Iterable[IdentityCard]) -> ModelCard:
    """Check a model that somebody handed over: that the owners of all its sites approved exactly its card's terms.

    `cards` are the sites' identity cards, trusted because their fingerprints were compared in person.

    Raises:
        InvalidInputError: a file is missing or none of ours.
        NotAuthenticError: the text or the parameters are not the card's, or an approval is missing or not the site's.
        RefusedError: a decision on the card is over something else than its terms.
    """
    known, at = {card.party: card for card in cards}, Path(folder).expanduser()
    facts = read_given_file(at / _FACTS, maximum_bytes=MAXIMUM_CARD_BYTES, what="The card")
    card = parse_model(ModelCard, facts, maximum_bytes=MAXIMUM_CARD_BYTES, what="The card")
    text = read_given_file(at / _TEXT, maximum_bytes=MAXIMUM_CARD_BYTES, what="The card's text")
    if text != card.text().encode():
        raise NotAuthenticError(f"{_TEXT} says something else than the card; read what «text()» of the card gives.")
    if model_digest(read_given_file(at / _MODEL, maximum_bytes=_MAXIMUM_MODEL_BYTES, what="The model")) != card.model:
        raise NotAuthenticError(f"{_MODEL} is not the model that the card is about; ask its researcher for it again.")
    approvals = {told(it).site: it for it in card.approvals}
    if len(approvals) != len(card.approvals):
        raise NotAuthenticError("The card shows two decisions of one site; there is one of each.")
    for name, member in zip(card.sites, card.terms.cohort, strict=True):
        site, signed = known.get(member.site), approvals.pop(member.site, None)
        if site is None or site.name != name:
            raise NotAuthenticError(
                f"No identity card of {name} is known; get it from there, and compare fingerprints."
            )
        if signed is None:
            raise NotAuthenticError(f"The card shows no approval of {name}, whose records the model was trained on.")
        if isinstance(signed, RulesGround):
            raise NotAuthenticError(
                f"{name} approved by its house rules, of which a card is no proof; ask for the receipt, and verify it."
            )
        require_approval(signed, site, card.terms)
    if approvals:
        raise NotAuthenticError("The card shows a decision of a site that is not in the cohort.")
    return card
