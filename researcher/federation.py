"""The researcher's way in: connect, pin the sites, look at what they offer, submit a study."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasites.protocol.identity import MAXIMUM_CARD_BYTES, Identity, IdentityCard, parse_card
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.private_files import read_given_file
from policies.errors import ConflictError, InvalidInputError
from researcher.catalog import DataSet, look_round, require_same_columns
from researcher.correspondence import Correspondence
from researcher.export import export
from researcher.plan import TrainingPlan
from researcher.state import State
from researcher.study import Study, open_study
from researcher.submission import Ask, draft_terms, keep_study
from researcher.tokeniser import load_tokeniser
from researcher.witness import save_checkpoints


@dataclass(frozen=True)
class Federation:
    """The sites that this researcher pinned, reached through one relay."""

    identity: Identity
    correspondence: Correspondence = field(repr=False)
    patience_seconds: float = 60.0

    @property
    def card(self) -> IdentityCard:
        """The researcher's public card; read its `fingerprint` to the data owners in person."""
        return self.identity.card

    def save_card(self, path: Path | str) -> Path:
        """Write the public card to `path`, to hand to data owners and to the relay's operator."""
        target = Path(path).expanduser()
        target.write_bytes(self.card.canonical())
        return target

    def save_checkpoints(self, folder: Path | str) -> list[Path]:
        """Write what this researcher keeps of the sites' logs, for their auditors to compare with what they see."""
        state, now = self.correspondence.state, int(self.correspondence.clock())
        return save_checkpoints(state, self.identity, Path(folder).expanduser(), now)

    @property
    def sites(self) -> list[IdentityCard]:
        """The cards of the pinned sites, by name."""
        return list(self.correspondence.state.sites().values())

    @property
    def data_sets(self) -> list[DataSet]:
        """What the pinned sites offer at this moment, mock data included.

        Raises:
            UnavailableError: a site did not answer within `patience_seconds`.
        """
        return look_round(self.correspondence, self.patience_seconds)

    def pin(self, card_file: Path | str, fingerprint: str) -> IdentityCard:
        """Trust a site's card, if `fingerprint` is the one that its owner read aloud.

        Raises:
            InvalidInputError: not a datasite's card, or another fingerprint.
            NotAuthenticError: the card was altered.
            ConflictError: the name is pinned with other keys.
        """
        card = parse_card(read_given_file(Path(card_file), maximum_bytes=MAXIMUM_CARD_BYTES, what="The card"))
        if fingerprint.strip().upper() != card.fingerprint:
            raise InvalidInputError(
                f"The card's fingerprint is {card.fingerprint}, not the one that was heard: do not trust this card; "
                "ask its owner for it again."
            )
        self.correspondence.state.pin(card)
        return card

    def submit(self, plan: TrainingPlan, data_sets: Sequence[DataSet], ask: Ask) -> Study:
        """Export the plan to tensor programs, fix the terms, and send both to every site of the cohort.

        Raises:
            InvalidInputError: the plan or its tokeniser cannot be exported, or the terms are not consistent; nothing
                was sent.
            UnavailableError: the relay cannot be reached.
        """
        shape, wanted = require_same_columns(list(data_sets)), plan.tokeniser()
        tokeniser, tokens = (None, None) if wanted is None else load_tokeniser(wanted)
        exported = export(plan, shape.record_form(None if tokens is None else tokens.form))
        terms = draft_terms(self.identity.party, exported, data_sets, ask, tokens)
        keep_study(self.correspondence.state, terms, exported, ask.early_stopping, tokeniser)
        study = open_study(self.correspondence, terms.study, plan)
        study.send_submission()
        return study

    def study(self, identifier: str, plan: TrainingPlan) -> Study:
        """Open a study submitted before, after a kernel restart say; `plan` gives its model class again.

        Raises:
            InvalidInputError: there is no such study in this researcher's state.
        """
        return open_study(self.correspondence, identifier, plan)


def connect(home: Path | str, *, name: str, relay: str, patience_seconds: float = 60.0) -> Federation:
    """Open the researcher's folder `home`, making keys for `name` on first use, and speak through `relay` (a URL).

    Studies wait as long as their terms say; `patience_seconds` is for looking round, before there are any terms.

    Raises:
        ConflictError: the folder belongs to a researcher of another name.
        InvalidInputError: a file in the folder is damaged.
    """
    folder = Path(home).expanduser()
    keys = folder / "keys"
    if (keys / "card.json").exists():
        identity = Identity.load(keys)
        if identity.name != name:
            raise ConflictError(f"{folder} belongs to «{identity.name}», not «{name}»; use one folder a researcher.")
    else:
        identity = Identity.create(keys, name, "researcher")
    state = State(folder / "state.sqlite")
    return Federation(identity, Correspondence(identity, state, Mailbox(identity, relay)), patience_seconds)
