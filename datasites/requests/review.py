"""What the owner is shown about a request, and the digest that an approval of exactly that must name."""

from dataclasses import dataclass

from sqlalchemy import Connection

from datasites.people.approvals import STUDIES, Approvals, approvals_of, approvals_taken
from datasites.protocol.identity import IdentityCard
from datasites.requests.asked import asked_study
from datasites.requests.declared_units import units_obstacle
from datasites.requests.earlier import study_difference
from datasites.requests.look_through import programs_of, study_findings
from datasites.requests.records import Request, Status, require_as_received
from datasites.requests.rules_file import file_obstacle
from datasites.requests.second_exports import SecondExport, find_second_export
from datasites.site import Site
from datasites.store.adopted_rules import Adopted
from datasites.store.data_sets import DataSet, require_data_set
from datasites.store.peers import pinned_card, require_card
from policies.budget.balance import Balance, balance
from policies.budget.costs import Cost, request_cost, request_epsilon
from policies.decision import Decision
from policies.review.differences import Difference
from policies.review.findings import Findings
from policies.review.outlook import Outlook, outlook
from policies.review.program_facts import ProgramFacts, program_facts
from policies.review.summary import summarise
from policies.rules.studies import study_obstacles


@dataclass(frozen=True)
class Review:
    """A request in the light of this site: what it says and changes, what it costs, and what stands against it.

    `difference` is None where nothing of its researcher was approved before; `outlook` once the request was decided
    on, as its cost is then in the balance; `epsilon` and `outlook` where the study is unbounded. `approvals` says who
    approved it so far, or took the decision on it. `now` is the moment that all this is said of, in seconds since 1970.
    """

    request: Request
    researcher: IdentityCard
    data_set: DataSet
    summary: str
    difference: Difference | None
    findings: Findings
    facts: ProgramFacts
    second_export: SecondExport | None
    epsilon: float | None
    cost: Cost
    balance: Balance
    outlook: Outlook | None
    obstacles: tuple[str, ...]
    approval_digest: str
    approvals: Approvals
    house_rules: Adopted
    now: int


def review(connection: Connection, site: Site, request: Request) -> Review:
    """Put together everything that a decision on `request` rests on.

    Raises:
        NotAuthenticError: what is stored is not what was received, or not what the owner adopted.
        RefusedError: the owner has adopted no house rules.
    """
    require_as_received(request)
    data_set = require_data_set(connection, request.data_set)
    researcher = require_card(connection, request.sender)
    cost = request_cost(request.terms, data_set.filter_order)
    left = balance(connection, data_set.population)
    adopted, now = site.house_rules(connection), site.moment(connection)
    undecided = request.status in (Status.RECEIVED, Status.PENDING)
    return Review(
        request=request,
        researcher=researcher,
        data_set=data_set,
        summary=summarise(request.terms, researcher.name, data_set.manifest.title),
        difference=study_difference(connection, request),
        findings=study_findings(request, data_set.manifest),
        facts=program_facts(**programs_of(request), manifest=data_set.manifest, terms=request.terms),
        second_export=find_second_export(connection, request.digest),
        epsilon=request_epsilon(request.terms),
        cost=cost,
        balance=left,
        outlook=outlook(request.terms, site.identity.party, cost, left) if undecided else None,
        obstacles=obstacles(connection, site, request, cost, left, adopted, now),
        approval_digest=approval_digest(connection, site, request),
        approvals=study_approvals(connection, site, request),
        house_rules=adopted,
        now=now,
    )


def approval_digest(connection: Connection, site: Site, request: Request) -> str:
    """The digest of everything that an approval of `request` covers, as things stand now."""
    data_set = require_data_set(connection, request.data_set)
    cost = request_cost(request.terms, data_set.filter_order)
    adopted = site.house_rules(connection)
    facts, wanted = (request, data_set, cost, adopted.digest), adopted.rules.approvals.studies
    return draft_decision(site, *facts, approvals=wanted, verdict="approve", reason="as shown", now=0).subject()


def study_approvals(connection: Connection, site: Site, request: Request) -> Approvals:
    """Who approved `request` so far as things stand now, or took the decision on it."""
    if request.decision is not None:
        return approvals_taken(site, STUDIES, request.decision.signed)
    subject = approval_digest(connection, site, request)
    return approvals_of(connection, site, STUDIES, subject, site.house_rules(connection).rules.approvals.studies)


def draft_decision(
    site: Site,
    request: Request,
    data_set: DataSet,
    cost: Cost,
    house_rules: str,
    *,
    approvals: int,
    verdict: str,
    reason: str,
    now: int,
) -> Decision:
    """The decision over `request` as it stands, under the rules of this digest.

    Its `subject()` does not depend on verdict, reason or time.
    """
    return Decision.model_validate(
        {
            "version": "cloister-decision/1",
            "site": site.identity.party,
            "request": request.digest,
            "data_set": data_set.name,
            "snapshot_commitment": data_set.snapshot_commitment,
            "population": data_set.population,
            "approvals": approvals,
            "verdict": verdict,
            "reason": reason,
            "training_units": cost.training_units,
            "evaluation_units": cost.evaluation_units,
            "house_rules": house_rules,
            "decided_at": now,
            "expires_at": request.terms.expires_at,
        }
    )


def obstacles(
    connection: Connection, site: Site, request: Request, cost: Cost, left: Balance, adopted: Adopted, now: int
) -> tuple[str, ...]:
    """What stands against an approval of `request` at `now`, a sentence each."""
    found = []
    if request.terms.expires_at <= now:
        found.append("The request has expired.")
    if (changed := file_obstacle(site, adopted)) is not None:
        found.append(changed)
    manifest = require_data_set(connection, request.data_set).manifest
    if (other_units := units_obstacle(request.terms, site.identity.party, manifest)) is not None:
        found.append(other_units)
    found += study_obstacles(adopted.rules, asked_study(connection, request, adopted.rules, now), now)
    if not left.fits(cost):
        found.append(left.shortfall(cost))
    strangers = [
        member.site[:16]
        for member in request.terms.cohort
        if member.site != site.identity.party and not _is_pinned_site(connection, member.site)
    ]
    if strangers:
        found.append(f"The cohort names sites whose cards are not pinned here: {', '.join(strangers)}.")
    return tuple(found)


def _is_pinned_site(connection: Connection, party: str) -> bool:
    card = pinned_card(connection, party)
    return card is not None and card.role == "datasite"
