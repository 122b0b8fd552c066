"""What a replay of a log knows of one study: its terms, the newest decision, the answers to its rounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.budget.costs import Partition, round_mechanisms
from policies.budget.renyi import GaussianMechanism
from policies.decision import Decision
from policies.jobs.terms import JobTerms
from policies.log.accounts import require
from policies.log.entries import RoundComputed
from policies.log.people_replay import Tally
from policies.rules.approval import RulesApproval
from policies.statements.schema import Digest
from policies.terms import Terms


@dataclass
class Study:
    """One study, as far as the entries so far tell."""

    terms: Terms
    decision: Decision | RulesApproval | None = None
    approvals: Tally = field(default_factory=Tally)
    answers: dict[int, RoundComputed] = field(default_factory=dict)
    closed: bool = False

    def demanded(self, round_number: int | None) -> Mapping[Partition, GaussianMechanism]:
        """What the terms run in this round, on each partition; nothing outside their rounds."""
        if round_number is None or round_number > self.terms.sums:
            return {}
        return round_mechanisms(self.terms, round_number)


def require_superseded(request: Digest, older: Terms | JobTerms, newer: Terms | JobTerms) -> None:
    """Check that `newer` replaces `older`, whose digest is `request`.

    Raises:
        RefusedError: it names another request, or is another researcher's.
    """
    require(newer.supersedes == request, "the request is superseded by one that does not name it")
    require(newer.researcher == older.researcher, "the request is superseded by another researcher's")
