"""Log entries on a log that was set back: that it was noticed, the owner's word to go on, and what was written off."""

from typing import Literal

from policies.decision import PopulationId, Units
from policies.log.entry import Entry
from policies.log.recovery import LostHead, SignedRecovery
from policies.statements.schema import PartyId


class SetBackNoticed(Entry):
    """A witness holds a checkpoint that this log does not continue: the disk was set back; nothing is charged now."""

    kind: Literal["set-back-noticed"] = "set-back-noticed"
    witness: PartyId
    held: LostHead


class LogRecovered(Entry):
    """The owner's signed word that the log goes on without the checkpoints it lost."""

    kind: Literal["log-recovered"] = "log-recovered"
    signed: SignedRecovery


class BudgetWrittenOff(Entry):
    """Units that the population had spent or reserved in the lost history, beyond what this log knows, are spent."""

    kind: Literal["budget-written-off"] = "budget-written-off"
    population: PopulationId
    training_units: Units
    evaluation_units: Units
