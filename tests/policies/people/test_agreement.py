"""A decision is taken by as many different persons as it asks for, all on the same, none on their own request."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.decision import Decision, SignedDecision, SignedDecisions, sign_decision, verify_decisions
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError
from policies.people.rules import ApprovalRules, require_approver
from policies.people.signer import Person
from policies.rules.house_rules import DEFAULT_HOUSE_RULES, parse_house_rules
from policies.statements.digests import party_of
from tests.policies.test_decision import decision
from tests.site_people import Holder, appointment

OWNER, BEA, CEM = Holder("owner"), Holder("Bea"), Holder("Cem")
OWNER_KEY = OWNER.key.public_key().public_bytes_raw()
RESEARCHER = "e" * 64


def by(holder: Holder, said: Decision, **changes: object) -> SignedDecision:
    if holder is OWNER:
        return sign_decision(OWNER.key, said)
    return sign_decision(holder.key, said, appointment(OWNER.key, said.site, holder, **changes))


def take(*signed: SignedDecision, researcher: str = RESEARCHER) -> Decision:
    return verify_decisions(SignedDecisions(signed=signed), OWNER_KEY, researcher)


def test_as_many_as_it_asks_for_take_it() -> None:
    alone, both = decision(), decision(approvals=2)
    assert take(by(BEA, alone)) == alone
    later = decision(approvals=2, reason="So do I.", decided_at=1_900_000_009)
    assert take(by(BEA, both), by(OWNER, later)) == both
    no = decision(approvals=2, verdict="deny")
    assert take(by(CEM, no)) == no


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        pytest.param((by(BEA, decision(approvals=2)),), "1 did", id="one-of-two"),
        pytest.param((by(BEA, decision(approvals=2)),) * 2, "twice", id="the-same-twice"),
        pytest.param(
            (by(BEA, decision(approvals=2)), by(Holder("ＢＥＡ"), decision(approvals=2))), "twice", id="one-name"
        ),
        pytest.param(
            (
                by(BEA, decision(approvals=2), researcher="d" * 64),
                by(CEM, decision(approvals=2), researcher="d" * 64),
            ),
            "twice",
            id="one-researcher",
        ),
        pytest.param(
            (by(BEA, decision(approvals=2)), by(CEM, decision(approvals=2, training_units=1))),
            "different things",
            id="two-subjects",
        ),
        pytest.param(
            (by(BEA, decision(approvals=2)), by(CEM, decision(approvals=2, verdict="deny"))),
            "different things",
            id="yes-and-no",
        ),
        pytest.param((by(BEA, decision()), by(CEM, decision(approvals=2))), "different things", id="two-numbers"),
    ],
)
def test_nothing_less_takes_it(signed: tuple[SignedDecision, ...], reason: str) -> None:
    with pytest.raises(NotAuthenticError, match=reason):
        take(*signed)


def test_nobody_decides_on_their_own_request() -> None:
    with pytest.raises(RefusedError, match="own request"):
        take(by(BEA, decision(), researcher=RESEARCHER))
    for holder in (BEA, OWNER):
        with pytest.raises(RefusedError, match="own request"):
            take(by(holder, decision()), researcher=party_of(bytes.fromhex(holder.public)))


def test_an_auditor_decides_nothing() -> None:
    said = decision()
    with pytest.raises(RefusedError, match="Cem is auditor here"):
        take(sign_decision(CEM.key, said, appointment(OWNER.key, said.site, CEM, "auditor")))


def test_the_house_rules_say_how_many_and_who() -> None:
    default = parse_house_rules(DEFAULT_HOUSE_RULES.encode()).approvals
    assert default == ApprovalRules(studies=1, jobs=1, releases=1, approvers=())
    text = DEFAULT_HOUSE_RULES.replace("studies = 1", "studies = 2").replace(
        "approvers = []", 'approvers = ["Bea", "the owner"]'
    )
    rules = parse_house_rules(text.encode()).approvals
    assert (rules.studies, rules.approvers) == (2, ("Bea", "the owner"))
    require_approver(rules, Person("owner", OWNER.public))
    require_approver(rules, Person("reviewer", BEA.public, "bea"))
    with pytest.raises(RefusedError, match="Cem is not among them"):
        require_approver(rules, Person("reviewer", CEM.public, "Cem"))


@pytest.mark.parametrize("line", ["studies = 0", "studies = 6", "studies = true", "studies = 1\nowners = 1"])
def test_rules_that_make_no_sense_are_refused(line: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_house_rules(DEFAULT_HOUSE_RULES.replace("studies = 1", line).encode())


def test_names_come_one_a_string() -> None:
    with pytest.raises(InvalidInputError):
        parse_house_rules(DEFAULT_HOUSE_RULES.replace("approvers = []", 'approvers = "Bea"').encode())


def test_every_stranger_is_nobody() -> None:
    with pytest.raises(NotAuthenticError):
        take(sign_decision(Ed25519PrivateKey.generate(), decision()))
