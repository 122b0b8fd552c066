"""PySyft's own client for a data owner: its words for data sets, peers and jobs, each the owner's signed word."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from syft_rds import SyftRDSClient

from datasites.catalog.file_sets import register_file_set
from datasites.protocol.job_messages import PeerRequest
from datasites.requests.contacts import ask_for_contact
from datasites.requests.jobs.records import Job
from datasites.store.engine import reading
from datasites.store.file_sets import FileSet, find_file_set
from datasites.syft_bridge.owner_session import login_do, open_session
from policies.errors import CloisterError, InvalidInputError, RefusedError, UnavailableError
from policies.jobs.decision import verify_job_decision
from tests.one_job import PACKAGES, PRIVATE, JobScene, new_job_scene

ADA = "ada@lab.example"
COPY = 'import shutil, syft as sy\nshutil.copy(sy.resolve_dataset_file_path("visits"), "outputs/all.csv")\n'


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobScene]:
    made = new_job_scene(tmp_path_factory.mktemp("owner"))
    yield made
    made.worker.stop_all()


@pytest.fixture(scope="module")
def client(scene: JobScene) -> SyftRDSClient:
    return open_session(scene.scene.site, lambda: scene.scene.owner_key)


@contextmanager
def serving(scene: JobScene) -> Iterator[None]:
    """What the service's own thread does beside a session."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            scene.worker.run_next()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def file_set(scene: JobScene, name: str) -> FileSet:
    with reading(scene.scene.site.engine) as connection:
        found = find_file_set(connection, name)
    assert found is not None
    return found


def box(scene: JobScene) -> bytes:
    """Every byte in the SyftBox, with the names and link targets; nothing private may be among them."""
    paths = sorted(scene.scene.site.home.syft_box.rglob("*"))
    return b"\n".join(str(it).encode() + (it.read_bytes() if it.is_file() else b"") for it in paths)


def asks(scene: JobScene, contact: str = ADA) -> None:
    site = scene.scene.site
    with site.engine.begin() as connection:
        message = PeerRequest(contact=contact)
        ask_for_contact(connection, site, scene.scene.researcher.card, message, PACKAGES, site.now)


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


def listed(client: SyftRDSClient, job: Job) -> object:
    return client.jobs[job.terms.name]


def test_approving_signs_what_was_listed(scene: JobScene, client: SyftRDSClient) -> None:
    asks(scene)
    job = scene.tried(name="approving")
    shown = listed(client, job)
    assert (shown.status, shown.datasite_owner_email) == ("pending", scene.scene.site.settings.contact)
    shown.approve("read it")
    stored = scene.job(job.digest)
    assert stored.decision is not None
    owner = scene.scene.owner_key.public_key().public_bytes_raw()
    assert verify_job_decision(stored.decision, owner).verdict == "approve"
    assert listed(client, job).status == "approved"
    with pytest.raises(ValueError, match="not in pending status"):
        shown.approve()


def test_an_approval_covers_nothing_that_changed_since_the_listing(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="changed since")
    shown = listed(client, job)
    scene.private.write_text(PRIVATE + "p999,1,1\n")
    register_file_set(
        scene.scene.site,
        name="visits",
        summary="One row a visit.",
        readme="",
        tags=(),
        mock=scene.private.parent / "mock" / "visits.csv",
        private=scene.private,
        everybody=True,
        contacts=(),
    )
    with pytest.raises(RefusedError, match="as things stand now"):
        shown.approve()
    assert scene.job(job.digest).decision is None
    listed(client, job).approve()
    assert scene.job(job.digest).status == "approved"


def test_a_job_that_failed_runs_once_more_by_the_owners_word(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried("raise SystemExit(3)", name="failing")
    listed(client, job).approve()
    with serving(scene):
        client.process_approved_jobs()
    assert (listed(client, job).status, scene.job(job.digest).attempt) == ("failed", 1)
    listed(client, job).rerun()
    with serving(scene):
        client.process_approved_jobs()
    assert (listed(client, job).status, scene.job(job.digest).attempt) == ("failed", 2)


def test_rejecting_tells_the_reason(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="rejecting")
    listed(client, job).reject("Too broad.")
    assert scene.job(job.digest).detail == "The owner denied: Too broad."
    assert listed(client, job).status == "rejected"
    with pytest.raises(ValueError, match="not in pending status"):
        listed(client, job).reject("Again.")


def test_held_outputs_never_lie_in_the_box_and_leave_by_the_owners_word(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(COPY, name="copying")
    listed(client, job).approve()
    with serving(scene), pytest.warns(UserWarning, match="are held"):
        client.process_approved_jobs(share_outputs_with_submitter=True, share_logs_with_submitter=True)
    assert scene.job(job.digest).status == "held"
    shown = listed(client, job)
    assert (shown.status, shown.output_paths) == ("running", [])
    assert b"p000,20,0" not in box(scene)
    with pytest.raises(RefusedError, match="nobody else"):
        shown.share_outputs(["eve@lab.example"])
    shown.share_outputs([shown.submitted_by])
    assert scene.job(job.digest).status == "released"
    released = listed(client, job)
    assert (released.status, [it.name for it in released.output_paths]) == ("done", ["all.csv"])


def test_clean_outputs_are_shared_when_asked_to(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="clean")
    listed(client, job).approve()
    with serving(scene):
        client.process_approved_jobs(share_outputs_with_submitter=True)
    assert scene.job(job.digest).status == "released"
    kept = scene.tried(name="kept")
    listed(client, kept).approve()
    with serving(scene):
        client.process_approved_jobs()
    assert scene.job(kept.digest).status == "held"
    with serving(scene):
        client.process_approved_jobs(share_outputs_with_submitter=True)
    assert scene.job(kept.digest).status == "held", "what was processed before is not shared by a later call"


def test_cancelling(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="cancelling")
    listed(client, job).cancel("The ward closed.")
    assert scene.job(job.digest).detail == "The owner cancelled: The ward closed."
    assert listed(client, job).status == "failed"


def test_nothing_printed_or_shown_names_another_service(
    scene: JobScene, client: SyftRDSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    asks(scene)
    job = listed(client, scene.tried(name="shown"))
    job.approve()
    jobs, peers, data_sets = client.jobs, client.peers, client.datasets
    shown = [jobs, jobs["shown"], peers, data_sets, data_sets.get("visits")]
    printed = capsys.readouterr()
    assert "approved successfully" in printed.out
    for text in (printed.out, printed.err, *(it._repr_html_() + repr(it) + str(it) for it in shown)):
        assert not re.search(r"google|gmail|\bdrive\b|gdrive|\btokens?\b", text, re.IGNORECASE)


def test_waiting_ends_where_nothing_serves(scene: JobScene, client: SyftRDSClient) -> None:
    job = scene.tried(name="nobody serves")
    listed(client, job).approve()
    with pytest.raises(UnavailableError, match="has not ended in time"):
        client.process_approved_jobs(timeout=0)
    with pytest.raises(RefusedError, match="together with its outputs"):
        client.process_approved_jobs(share_logs_with_submitter=True)


def test_what_an_owner_cannot_do_is_said_in_one_sentence(scene: JobScene, client: SyftRDSClient) -> None:
    job = listed(client, scene.tried(name="refusals"))
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
