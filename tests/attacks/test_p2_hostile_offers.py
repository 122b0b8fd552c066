"""P2, at the researcher's desk: a site that writes where it may not, fills the disk, or shows what acts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from syft_rds import SyftRDSClient

from datasites.protocol.job_messages import FileSetOffer, FileSetReply, MockFile
from policies.jobs.release import OutputFact
from tests.attacks.hostile_owner import approved, huge, unchanged
from tests.researcher.syft_scene import ANNA, BERN, SyftScene, open_scene

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyftScene]:
    with open_scene(tmp_path_factory.mktemp("scene")) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(scene: SyftScene) -> SyftRDSClient:
    return scene.acquainted()


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


def test_a_data_set_of_a_year_that_no_calendar_has_stops_nobody(scene: SyftScene, client: SyftRDSClient) -> None:
    honest = scene.anna.offer("x", {"a.csv": b"1"}, total=1).offer
    assert honest is not None
    offer = honest.model_copy(update={"registered_at": 2**40})
    unchanged(scene, client, (scene.anna, FileSetReply(total=1, offer=offer)), warned=False)
