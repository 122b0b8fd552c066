"""PySyft's own client for a data owner: its words for data sets and peers, and what it never does."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from syft_rds import SyftRDSClient

from datasites.syft_bridge.owner_session import login_do, open_session
from policies.errors import CloisterError, InvalidInputError
from tests.datasites.syft_bridge.owner_scene import ADA, asks, box, file_set
from tests.one_job import JobScene, new_job_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobScene]:
    made = new_job_scene(tmp_path_factory.mktemp("owner"))
    yield made
    made.worker.stop_all()


@pytest.fixture(scope="module")
def client(scene: JobScene) -> SyftRDSClient:
    return open_session(scene.scene.site, lambda: scene.scene.owner_key)


def test_only_the_datasites_own_address_logs_in(scene: JobScene, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="contact address is"):
        login_do("somebody@else.example", home=scene.scene.site.home.folder)
    with pytest.raises(InvalidInputError):
        login_do("somebody@else.example", home=tmp_path / "nothing")


def test_a_data_set_is_offered_where_its_private_files_lie(
    scene: JobScene, client: SyftRDSClient, tmp_path: Path
) -> None:
    private, mock = tmp_path / "private", tmp_path / "mock"
    for folder, content in ((private, "PRIVATE-3c9"), (mock, "mock")):
        folder.mkdir()
        (folder / "a.csv").write_text(content)
        (folder / "b.csv").write_text(content + "2")
    (tmp_path / "read.md").write_text("# Wards")
    made = client.create_dataset(
        name="wards",
        mock_path=mock,
        private_path=private,
        summary="Two tables.",
        readme_path=tmp_path / "read.md",
        tags=["beds"],
        users=[ADA],
    )
    assert sorted(it.name for it in made.mock_files) == ["a.csv", "b.csv"]
    assert {it.name: it.read_text() for it in made.private_files} == {"a.csv": "PRIVATE-3c9", "b.csv": "PRIVATE-3c92"}
    assert {it.resolve() for it in made.private_files} == {private / "a.csv", private / "b.csv"}
    assert b"PRIVATE-3c9" not in box(scene)
    assert (made.summary, made.tags, made.get_readme()) == ("Two tables.", ["beds"], "# Wards")
    assert (file_set(scene, "wards").contacts, file_set(scene, "wards").shared_with_all) == ((ADA,), False)
    client.share_dataset("wards", ["eve@lab.example"])
    assert file_set(scene, "wards").contacts == (ADA, "eve@lab.example")
    client.share_dataset("wards", users="any")
    assert file_set(scene, "wards").shared_with_all
    assert {it.name for it in client.datasets} >= {"wards", "visits"}


def test_a_private_file_is_no_mock(client: SyftRDSClient, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("secret")
    with pytest.raises(InvalidInputError, match="private file itself"):
        client.create_dataset("same", tmp_path / "a.csv", tmp_path / "a.csv")
    assert "same" not in {it.name for it in client.datasets}


def test_peers_are_accepted_and_never_pinned_here(scene: JobScene, client: SyftRDSClient) -> None:
    with pytest.raises(InvalidInputError, match="pin its card"):
        client.approve_peer_request("eve@lab.example")
    asks(scene)
    assert [(it.email, it.state.value) for it in client.peers] == [(ADA, "requested_by_peer")]
    client.reject_peer_request(ADA)
    assert list(client.peers) == []
    asks(scene)
    client.approve_peer_request(client.peers[0])
    assert [(it.email, it.is_approved) for it in client.peers] == [(ADA, True)]
    client.sync()
    assert client.peers[ADA].is_approved


def test_nothing_printed_or_shown_names_another_service(
    scene: JobScene, client: SyftRDSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    asks(scene)
    scene.tried(name="shown")
    job = client.jobs["shown"]
    job.approve()
    jobs, peers, data_sets = client.jobs, client.peers, client.datasets
    shown = [jobs, jobs["shown"], peers, data_sets, data_sets.get("visits")]
    printed = capsys.readouterr()
    assert "approved successfully" in printed.out
    for text in (printed.out, printed.err, *(it._repr_html_() + repr(it) + str(it) for it in shown)):
        assert not re.search(r"google|gmail|\bdrive\b|gdrive|\btokens?\b", text, re.IGNORECASE)


def test_what_an_owner_cannot_do_is_said_in_one_sentence(scene: JobScene, client: SyftRDSClient) -> None:
    scene.tried(name="refusals")
    job = client.jobs["refusals"]
    for act in (
        lambda: job.accept_by_depositing_result("/etc/hostname"),
        lambda: client.delete_dataset("visits"),
        lambda: client.share_private_dataset("visits", ADA),
        lambda: client.create_dataset("x", "a", "b", location="eu"),
        client.delete_syftbox,
        client.job_runner.run,
        client.job_runner.reset_all_jobs,
        lambda: client.dataset_manager.migrate("visits", "1"),
    ):
        with pytest.raises(CloisterError) as caught:
            act()
        assert str(caught.value).endswith(".")
    assert client.jobs["refusals"].status == "pending"
