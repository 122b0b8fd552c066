"""P2, at the researcher's desk: a site that speaks for another, or says what no owner signed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from syft_rds import SyftRDSClient

from datasites.protocol.job_messages import JobOutputs
from policies.jobs.decision import DataSetSnapshot, SignedJobDecision, SignedJobDecisions, sign_job_decision
from policies.jobs.release import OutputFact
from policies.jobs.terms import JobTerms
from tests.attacks.hostile_owner import approved, huge, submitted, unchanged
from tests.researcher.syft_scene import SyftScene, open_scene
from tests.site_people import Holder, appointment


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyftScene]:
    with open_scene(tmp_path_factory.mktemp("scene")) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(scene: SyftScene) -> SyftRDSClient:
    return scene.acquainted()


def test_another_site_cannot_speak_for_a_job(scene: SyftScene, client: SyftRDSClient) -> None:
    terms = submitted(scene, client)
    bern, anna = scene.bern, scene.anna
    unchanged(
        scene,
        client,
        (bern, bern.status(terms, "approved", decision=anna.decide(terms))),
        (bern, bern.status(terms, "cancelled")),
        (bern, bern.outputs(terms, {"output/result.json": b"forged"})),
    )


def taken(*signed: SignedJobDecision) -> SignedJobDecisions:
    return SignedJobDecisions(signed=signed)


def by_another_key(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return taken(sign_job_decision(Ed25519PrivateKey.generate(), scene.anna.decide(terms).decision))


def under_the_owners_name(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    (forged,), (honest,) = by_another_key(scene, terms).signed, scene.anna.decide(terms).signed
    return taken(forged.model_copy(update={"signer": honest.signer}))


def altered_after_signing(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    (signed,) = scene.anna.decide(terms, "deny").signed
    return taken(signed.model_copy(update={"decision": signed.decision.model_copy(update={"verdict": "approve"})}))


def by_another_owner(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return scene.bern.decide(terms)


def for_another_site(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return scene.anna.decide(terms, site=scene.bern.identity.party)


def of_another_job(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return scene.anna.decide(terms.model_copy(update={"job": "0" * 32}))


def on_other_data(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    other = DataSetSnapshot(name="everything", commitment="c" * 64, population=None)
    return scene.anna.decide(terms, data_sets=(other,))


def a_denial(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return scene.anna.decide(terms, "deny")


def one_of_two(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return scene.anna.decide(terms, approvals=2)


def the_same_twice(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return taken(*scene.anna.decide(terms, approvals=2).signed, *scene.anna.decide(terms, approvals=2).signed)


def by_somebody_self_appointed(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    eve = Holder("Eve")
    decision = scene.anna.decide(terms).decision
    return taken(sign_job_decision(eve.key, decision, appointment(eve.key, decision.site, eve)))


def by_an_auditor(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return reviewed(scene, terms, Holder("Cem"), role="auditor")


def by_another_sites_reviewer(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return reviewed(scene, terms, Holder("Bea"), site=scene.bern.identity.party)


def by_the_researcher_as_a_reviewer(scene: SyftScene, terms: JobTerms) -> SignedJobDecisions:
    return reviewed(scene, terms, Holder("Ada"), researcher=terms.researcher)


def reviewed(scene: SyftScene, terms: JobTerms, holder: Holder, **changes: Any) -> SignedJobDecisions:
    """A decision by somebody whom anna's owner appointed."""
    decision = scene.anna.decide(terms).decision
    role, site = changes.pop("role", "reviewer"), changes.pop("site", decision.site)
    appointed = appointment(scene.anna.owner_key, site, holder, role, **changes)
    return taken(sign_job_decision(holder.key, decision, appointed))


def none_at_all(scene: SyftScene, terms: JobTerms) -> None:
    return None


@pytest.mark.parametrize(
    "decision",
    [
        by_another_key,
        under_the_owners_name,
        altered_after_signing,
        by_another_owner,
        for_another_site,
        of_another_job,
        on_other_data,
        a_denial,
        one_of_two,
        the_same_twice,
        by_somebody_self_appointed,
        by_an_auditor,
        by_another_sites_reviewer,
        by_the_researcher_as_a_reviewer,
        none_at_all,
    ],
)
def test_nothing_counts_as_approved_without_its_owners_signature(
    scene: SyftScene,
    client: SyftRDSClient,
    decision: Callable[[SyftScene, JobTerms], SignedJobDecisions | None],
) -> None:
    terms = submitted(scene, client)
    said = scene.anna.status(terms, "released", decision=decision(scene, terms))
    unchanged(scene, client, (scene.anna, said))
    outputs = scene.anna.outputs(terms, {"output/result.json": b"1"})
    unchanged(scene, client, (scene.anna, outputs), warned=False)
    assert client.job_client.jobs[terms.name].status == "pending"


def test_what_two_of_its_people_signed_counts_as_approved(scene: SyftScene, client: SyftRDSClient) -> None:
    terms, bea = submitted(scene, client), Holder("Bea")
    both = scene.anna.decide(terms, approvals=2)
    appointed = appointment(scene.anna.owner_key, both.decision.site, bea)
    decision = taken(*both.signed, sign_job_decision(bea.key, both.decision, appointed))
    scene.anna.says(scene.anna.status(terms, "approved", decision=decision))
    client.sync()
    assert client.job_client.jobs[terms.name].status == "approved"


def test_outputs_of_another_request_or_attempt(scene: SyftScene, client: SyftRDSClient) -> None:
    terms = approved(scene, client)
    anna, files = scene.anna, {"output/result.json": b"1"}
    unchanged(scene, client, (anna, anna.outputs(terms, files, request="0" * 64)))
    unchanged(scene, client, (anna, anna.outputs(terms, files, attempt=2)), warned=False)
    unchanged(scene, client, (anna, anna.outputs(terms, files, job="0" * 32)))


@pytest.mark.parametrize(
    "path", ["../state.yaml", "/etc/cron.d/x", "a/../../b", ".ssh/id", "a\\b", "a//b", "", "<b>.json", "x" * 500]
)
def test_outputs_that_would_lie_elsewhere(scene: SyftScene, client: SyftRDSClient, path: str) -> None:
    """The parser of messages refuses the path, whoever signed it: such a letter is dropped without a word."""
    terms = approved(scene, client)
    honest = scene.anna.outputs(terms, {"output/a": b"1"})
    fact = OutputFact.model_construct(kind="output", path=path, size=1)
    unchanged(scene, client, (scene.anna, honest.model_copy(update={"files": (fact,)})), warned=False)


@pytest.mark.parametrize(
    "facts",
    [
        [("output", "a", 1), ("output", "a", 1)],
        [("output", "a", 1), ("output", "a/b", 1)],
        [("log", "state.yaml", 2)],
        [("log", "outputs/a", 2)],
        [("output", "a", 1)],
        [("output", "a", 3)],
        [("output", "a", 2**30), ("output", "b", 2**30)],
    ],
    ids=str,
)
def test_outputs_that_do_not_add_up(scene: SyftScene, client: SyftRDSClient, facts: list[tuple[Any, str, int]]) -> None:
    terms = approved(scene, client)
    honest = scene.anna.outputs(terms, {"output/a": b"12"})
    files = tuple(OutputFact(kind=kind, path=path, size=size) for kind, path, size in facts)
    unchanged(scene, client, (scene.anna, honest.model_copy(update={"files": files})))


def test_content_that_the_relay_never_had_stops_nobody(scene: SyftScene, client: SyftRDSClient) -> None:
    terms = approved(scene, client)
    facts = (OutputFact(kind="output", path="a", size=100),)
    message = JobOutputs(job=terms.job, request=terms.digest(), attempt=1, files=facts, content=huge(100))
    unchanged(scene, client, (scene.anna, message))


def test_outputs_come_once(scene: SyftScene, client: SyftRDSClient) -> None:
    terms = approved(scene, client)
    scene.anna.says(scene.anna.outputs(terms, {"output/result.json": b"first"}))
    client.sync()
    unchanged(scene, client, (scene.anna, scene.anna.outputs(terms, {"output/result.json": b"second"})))


def test_a_replayed_letter_changes_nothing(scene: SyftScene, client: SyftRDSClient) -> None:
    terms = submitted(scene, client)
    old = scene.anna.says(scene.anna.status(terms, "approved", decision=scene.anna.decide(terms)))
    scene.anna.says(scene.anna.status(terms, "denied", decision=scene.anna.decide(terms, "deny", attempt=2)))
    client.sync()
    before = scene.box()
    scene.anna.mailbox.send([old])
    client.sync()
    assert scene.box() == before
    assert client.job_client.jobs[terms.name].status == "rejected"
