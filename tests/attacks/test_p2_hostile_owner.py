"""P2, at the researcher's desk: a site that writes where it may not, says what no owner signed, or shows what acts."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from syft_rds import SyftRDSClient

from datasites.protocol.blobs import BlobReference
from datasites.protocol.job_messages import FileSetOffer, FileSetReply, JobOutputs, MockFile, PeerReply
from policies.jobs.decision import DataSetSnapshot, SignedJobDecision, sign_job_decision
from policies.jobs.release import OutputFact
from policies.jobs.terms import JobTerms
from tests.researcher.syft_scene import ANNA, BERN, SyftScene, open_scene

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyftScene]:
    with open_scene(tmp_path_factory.mktemp("scene")) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(scene: SyftScene) -> SyftRDSClient:
    return scene.acquainted()


def unchanged(scene: SyftScene, client: SyftRDSClient, *messages: Any, warned: bool = True) -> None:
    """A site said it; the box holds what it held, and the post flows on."""
    before = scene.box()
    for site, message in messages:
        site.says(message)
    if warned:
        with pytest.warns(UserWarning, match="was left out"):
            client.sync()
    else:
        client.sync()
    assert scene.box() == before
    for accepted in (False, True):
        scene.anna.says(PeerReply(contact=ANNA, accepted=accepted, packages=()))
        client.sync()
        assert [it.is_approved for it in client.peer_manager.syncable_peers] == [accepted], "the post does not flow"


def submitted(scene: SyftScene, client: SyftRDSClient) -> JobTerms:
    """A new job at anna's."""
    return scene.submit(client, job_name=f"job {len(scene.anna.jobs)}")


def approved(scene: SyftScene, client: SyftRDSClient) -> JobTerms:
    """A new job, whose outputs may come."""
    terms = submitted(scene, client)
    scene.anna.says(scene.anna.status(terms, "held", decision=scene.anna.decide(terms)))
    client.sync()
    return terms


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


def by_another_key(scene: SyftScene, terms: JobTerms) -> SignedJobDecision:
    return sign_job_decision(Ed25519PrivateKey.generate(), scene.anna.decide(terms).decision)


def under_the_owners_name(scene: SyftScene, terms: JobTerms) -> SignedJobDecision:
    forged = by_another_key(scene, terms)
    return forged.model_copy(update={"owner_key": scene.anna.decide(terms).owner_key})


def altered_after_signing(scene: SyftScene, terms: JobTerms) -> SignedJobDecision:
    signed = scene.anna.decide(terms, "deny")
    return signed.model_copy(update={"decision": signed.decision.model_copy(update={"verdict": "approve"})})


def by_another_owner(scene: SyftScene, terms: JobTerms) -> SignedJobDecision:
    return scene.bern.decide(terms)


def for_another_site(scene: SyftScene, terms: JobTerms) -> SignedJobDecision:
    return scene.anna.decide(terms, site=scene.bern.identity.party)


def of_another_job(scene: SyftScene, terms: JobTerms) -> SignedJobDecision:
    return scene.anna.decide(terms.model_copy(update={"job": "0" * 32}))


def on_other_data(scene: SyftScene, terms: JobTerms) -> SignedJobDecision:
    other = DataSetSnapshot(name="everything", commitment="c" * 64, population=None)
    return scene.anna.decide(terms, data_sets=(other,))


def a_denial(scene: SyftScene, terms: JobTerms) -> SignedJobDecision:
    return scene.anna.decide(terms, "deny")


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
        none_at_all,
    ],
)
def test_nothing_counts_as_approved_without_its_owners_signature(
    scene: SyftScene,
    client: SyftRDSClient,
    decision: Callable[[SyftScene, JobTerms], SignedJobDecision | None],
) -> None:
    terms = submitted(scene, client)
    said = scene.anna.status(terms, "released", decision=decision(scene, terms))
    unchanged(scene, client, (scene.anna, said))
    outputs = scene.anna.outputs(terms, {"output/result.json": b"1"})
    unchanged(scene, client, (scene.anna, outputs), warned=False)
    assert client.job_client.jobs[terms.name].status == "pending"


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


def huge(size: int) -> BlobReference:
    return BlobReference(digest="0" * 64, key="0" * 64, size=size)


def test_more_bytes_than_anybody_asked_for_are_not_even_fetched(
    scene: SyftScene, client: SyftRDSClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = approved(scene, client)
    facts = (OutputFact(kind="output", path="a", size=2**30), OutputFact(kind="output", path="b", size=1))
    honest = scene.anna.outputs(terms, {"output/a": b""})
    outputs = honest.model_copy(update={"files": facts, "content": huge(2**30 + 1)})
    mock = tuple(MockFile(name=name, size=2**29) for name in "abc")
    offer = scene.anna.offer("big", {"a": b""}, total=1).offer
    assert offer is not None
    offered = offer.model_copy(update={"files": mock, "mock": huge(3 * 2**29)})
    fetched: list[object] = []
    mailbox = client.sync_engine._desk.correspondence.mailbox
    monkeypatch.setattr(mailbox, "get_blob", lambda reference, _seconds: fetched.append(reference) or iter(()))
    unchanged(scene, client, (scene.anna, outputs), (scene.anna, FileSetReply(total=1, offer=offered)))
    assert fetched == []


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


def test_a_site_moves_only_its_own_data_sets(scene: SyftScene, client: SyftRDSClient) -> None:
    """Bern offers a data set under the name of one of anna's, and then says that there is none at all."""
    before = scene.box()
    scene.bern.says(scene.bern.offer("diabetes", {"diabetes.csv": b"another"}, total=1))
    client.sync()
    added = scene.box().keys() - before.keys()
    assert added
    assert all(path.startswith(f"{BERN}/public/syft_datasets/") for path in added)
    scene.bern.says(FileSetReply(total=0, offer=None))
    client.sync()
    assert scene.box() == before


@pytest.mark.parametrize("name", ["../../x", "v1", ".hidden", "<b>x</b>", "a/b", ""])
def test_data_sets_under_names_that_are_no_folder(scene: SyftScene, client: SyftRDSClient, name: str) -> None:
    honest = scene.anna.offer("x", {"a.csv": b"1"}, total=1).offer
    assert honest is not None
    offer = FileSetOffer.model_construct(**(dict(honest) | {"name": name}))
    unchanged(scene, client, (scene.anna, FileSetReply.model_construct(total=1, offer=offer)), warned=False)


@pytest.mark.parametrize("name", ["dataset.yaml", "README.md", "syft.pub.yaml", "../dataset.yaml", "a/b"])
def test_mock_files_under_names_of_pysyfts_own(scene: SyftScene, client: SyftRDSClient, name: str) -> None:
    honest = scene.anna.offer("diabetes", {"a.csv": b"name: other"}, total=1).offer
    assert honest is not None
    offer = honest.model_copy(update={"files": (MockFile.model_construct(name=name, size=11),)})
    unchanged(scene, client, (scene.anna, FileSetReply(total=1, offer=offer)), warned=False)


def test_a_data_set_of_a_year_that_no_calendar_has_stops_nobody(scene: SyftScene, client: SyftRDSClient) -> None:
    honest = scene.anna.offer("x", {"a.csv": b"1"}, total=1).offer
    assert honest is not None
    offer = honest.model_copy(update={"registered_at": 2**40})
    unchanged(scene, client, (scene.anna, FileSetReply(total=1, offer=offer)), warned=False)


def test_a_site_without_an_address_is_not_heard(tmp_path: Path) -> None:
    with open_scene(tmp_path) as scene:
        client = scene.login(sites={ANNA: scene.cards[ANNA]})
        client.sync_engine._desk.correspondence.state.pin(scene.bern.identity.card)
        scene.bern.says(scene.bern.offer("x", {"a.csv": b"1"}, total=1))
        with pytest.warns(UserWarning, match="was left out"):
            client.sync()
        assert not any("bern" in path for path in scene.box())


def test_markup_is_shown_and_never_acts(scene: SyftScene, client: SyftRDSClient) -> None:
    anna = scene.anna
    terms = scene.submit(client, f"# {MARKUP}\nimport syft as sy\n", job_name="markup")
    anna.says(anna.offer("wards", {"a.csv": b"1"}, total=1, summary=MARKUP, readme=MARKUP, tags=(MARKUP[:50],)))
    decision = anna.decide(terms, reason=MARKUP)
    anna.says(anna.status(terms, "released", decision=decision, detail=MARKUP))
    logs = {"log/stdout.txt": MARKUP.encode(), "log/stderr.txt": f"\x1b[31m{MARKUP}\x1b[0m".encode()}
    anna.says(anna.outputs(terms, {"output/result.json": MARKUP.encode(), **logs}))
    client.sync()
    jobs, data_sets = client.job_client.jobs, client.dataset_manager
    job, data_set = jobs["markup"], data_sets.get("wards", ANNA)
    assert (job.status, data_set.summary, str(job.stdout)) == ("done", MARKUP, MARKUP)
    for quoting in (job, job.stdout, job.stderr, data_set):
        assert "alert(1)" in quoting._repr_html_(), "the text is shown"
    for shown in (jobs, job, job.stdout, job.stderr, data_sets, data_sets.get_all(), data_set, client.peers):
        assert not re.search(r"<img|<script>alert", shown._repr_html_()), type(shown)
