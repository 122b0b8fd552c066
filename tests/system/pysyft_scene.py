"""A data owner and a researcher in PySyft sessions, over a relay and a serving datasite in processes of their own."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer
from syft_rds import SyftRDSClient

from datasites.protocol.identity import Identity
from researcher.syft_session import login_do, login_ds
from tests.demo.commands import datasite, start
from tests.demo.site import Site
from tests.system.live_site import LiveSite
from tests.system.waiting import SECONDS, eventually

JOBS = Path(__file__).parent / "pysyft_jobs"
ADA = "ada@lab.example"
OWNER = "data-office@anna.example"
MOCK_ROWS = 60


@dataclass
class PySyftScene:
    """What runs, and both sessions."""

    folder: Path
    relay: subprocess.Popen[bytes]
    site: LiveSite
    owner: SyftRDSClient
    ada: SyftRDSClient

    @property
    def private(self) -> Path:
        return self.folder / "tumours.csv"

    @property
    def mock(self) -> Path:
        return self.folder / "mock" / "tumours.csv"

    def make_acquaintance(self) -> None:
        """Offer the data set to everybody, and let ada be accepted."""
        self.owner.create_dataset(
            name="tumours",
            mock_path=self.mock,
            private_path=self.private,
            summary="Breast tumours under the microscope.",
            users="any",
        )
        self.ada.add_peer(OWNER)
        eventually(lambda: ADA in [it.email for it in self.owner.peers], "ada's request")
        self.owner.approve_peer_request(ADA)
        eventually(lambda: [it.is_approved for it in self.ada.peers] == [True], "anna's acceptance")
        eventually(lambda: [it.name for it in self.ada.datasets] == ["tumours"], "the data set")

    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.private)

    def submit(self, path: str, name: str, **arguments: object) -> None:
        """Ada submits a job of `pysyft_jobs`, or any; when this returns, the owner can decide on it."""
        self.ada.submit_python_job(OWNER, str(JOBS / path), job_name=name, **arguments)
        eventually(lambda: _status(self.owner, name) == "pending", f"«{name}» tried on mock data")

    def approve_and_process(self, name: str) -> None:
        self.owner.jobs[name].approve()
        self.owner.process_approved_jobs(share_outputs_with_submitter=True)

    def outputs(self, name: str) -> dict[str, bytes]:
        """What came to Ada of a job, once it is done."""
        eventually(lambda: _status(self.ada, name) == "done", f"the outputs of «{name}»")
        return {path.name: path.read_bytes() for path in self.ada.jobs[name].output_paths}


@contextmanager
def open_pysyft_scene(folder: Path) -> Iterator[PySyftScene]:
    """Start everything, with both sides' cards exchanged and pinned; the sessions know nothing of each other yet."""
    port = _free_port()
    relay = start("relay", "run", folder / "relay", "--port", str(port), log=folder / "relay.log")
    eventually(lambda: (folder / "relay" / "relay.json").exists(), "a relay listening")
    url = f"http://127.0.0.1:{port}"
    site = LiveSite(Site("anna", folder / "anna"))
    site.site.folder.mkdir()
    try:
        shown = site.site.init(url)
        ada = Identity.create(folder / "ada" / "keys", "ada", "researcher")
        card = folder / "ada.json"
        card.write_bytes(ada.card.canonical())
        cards = {site.site.card: shown["fingerprint"], card: ada.card.fingerprint}
        datasite("relay", "admit", folder / "relay", *cards)
        site.site.pin({card: ada.card.fingerprint})
        _write_tables(folder)
        site.serve()
        owner = login_do(
            email=OWNER,
            home=site.home,
            key_folder=site.site.folder / "owner",
            passphrase_file=site.site.folder / "passphrase",
        )
        session = login_ds(
            email=ADA,
            home=folder / "ada",
            name="ada",
            relay=url,
            sites={OWNER: (site.site.card, shown["fingerprint"])},
            purpose="To know tumours better.",
            legal_basis="Consent.",
        )
        yield PySyftScene(folder, relay, site, owner, session)
    finally:
        site.stop()
        relay.kill()
        relay.wait(SECONDS)


def _status(client: SyftRDSClient, name: str) -> str | None:
    return next((job.status for job in client.jobs if job.name == name), None)


def _write_tables(folder: Path) -> None:
    """The private table is scikit-learn's breast tumours; the mock one has its columns and other values."""
    bunch = load_breast_cancer(as_frame=True)
    private = bunch.data.assign(malignant=1 - bunch.target)
    private.to_csv(folder / "tumours.csv", index=False)
    mock = pd.DataFrame({name: [10.0 + row % 7 for row in range(MOCK_ROWS)] for name in bunch.data.columns})
    mock["malignant"] = [row % 2 for row in range(MOCK_ROWS)]
    (folder / "mock").mkdir()
    mock.to_csv(folder / "mock" / "tumours.csv", index=False)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
