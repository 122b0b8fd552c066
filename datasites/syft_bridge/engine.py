"""PySyft's own client over our post: its sync engine with every way out replaced, the same class for both sides."""

from pathlib import Path
from typing import Any, Protocol

from pydantic import PrivateAttr
from syft.sync.file_writer import FileWriter
from syft.sync.peers.peer import Peer, PeerState
from syft.sync.platforms.base_platform import BasePlatform
from syft.sync.syftbox_manager import SyftboxManager
from syft.sync.sync.datasite_owner_syncer import DatasiteOwnerSyncer
from syft.sync.utils.print_utils import print_peer_request_sent
from syft.sync.version.peer_manager import PeerManager, PeerManagerConfig
from syft.sync.version.version_info import VersionInfo
from syft.version import (
    MIN_SUPPORTED_PROTOCOL_VERSION,
    MIN_SUPPORTED_SYFT_VERSION,
    PROTOCOL_VERSION,
    SYFT_VERSION,
)
from syft_datasets.dataset_manager import SyftDatasetManager
from syft_job import JobClient
from syft_job.job_runner import SyftJobRunner
from syft_rds import SyftRDSClient

from policies.errors import RefusedError

_PLATFORM = BasePlatform(name="Cloister relay", module_path="cloister.relay")


class Desk(Protocol):
    """What stands behind a session: all that the engine hands on, in our own words."""

    def sync(self) -> None:
        """Take in what came, hand over what waits, and bring the box up to date."""

    def peers(self) -> list[Peer]:
        """The peers, the accepted ones first, then those asked, then those who ask."""

    def add_peer(self, address: str) -> None:
        """Ask to be shown at `address`, or be ready for it."""

    def approve_peer(self, address: str) -> None:
        """Accept the address that a peer asked for."""

    def reject_peer(self, address: str) -> None:
        """Refuse the address that a peer asked for."""

    def push_job(self, job_dir: Path) -> None:
        """Send the submission that lies in `job_dir`."""

    def share_data_set(self, name: str, users: list[str] | None) -> None:
        """Let `users` see a data set, or everybody who is pinned if that is None."""

    def delete_data_set(self, name: str) -> None:
        """Take a data set away."""


class Engine(SyftboxManager):  # type: ignore[misc]  # syft carries no types
    """Upstream's engine, with the public methods that would reach its own transport handed to a `Desk`."""

    _desk: Desk = PrivateAttr()

    @classmethod
    def over(cls, desk: Desk, *, box: Path, email: str, owner: bool) -> "Engine":
        """An engine over `desk`, for a data owner or else for a researcher."""
        peer_manager = PeerManager.from_config(
            PeerManagerConfig(
                syftbox_folder=box,
                email=email,
                has_do_role=owner,
                has_ds_role=not owner,
                force_ignore_peer_version=True,
                suppress_version_warnings=True,
            )
        )
        engine = cls(
            file_writer=FileWriter(base_path=box),
            syftbox_folder=box,
            email=email,
            peer_manager=peer_manager,
            datasite_owner_syncer=_NoSyncer.model_construct(event_cache=None) if owner else None,
            has_do_role=owner,
            has_ds_role=not owner,
        )
        engine._desk = desk
        return engine

    def sync(self, **_settings_of_another_transport: Any) -> None:
        """Take in what came, hand over what waits, and bring the box up to date."""
        self._desk.sync()
        self.load_peers()

    def load_peers(self, force_download: bool = False) -> None:
        """Bring the list of peers up to date."""
        self.peer_manager.peer_store.set_peers(self._desk.peers())
        self._emit("peers_loaded")

    def add_peer(self, peer_email: str, force: bool = False, verbose: bool = True, sync: bool = True) -> None:
        """Ask a peer to accept this address."""
        self._desk.add_peer(peer_email)
        if verbose:
            print_peer_request_sent(peer_email)
        if sync:
            self.sync()
        else:
            self.load_peers()

    def approve_peer_request(
        self, email_or_peer: str | Peer, verbose: bool = True, peer_must_exist: bool = True
    ) -> None:
        """Accept the address that a pinned peer asked for."""
        self._desk.approve_peer(_address(email_or_peer))
        self.load_peers()

    def reject_peer_request(self, email_or_peer: str | Peer) -> None:
        """Refuse the address that a pinned peer asked for."""
        self._desk.reject_peer(_address(email_or_peer))
        self.load_peers()

    def push_job_files(self, job_dir: Path) -> None:
        """Send the submission in `job_dir`."""
        self._desk.push_job(job_dir)

    def create_collection_folder(self, prefix: str, tag: str, content_hash: str) -> str:
        """Nothing is to be made: a data set's mock files go to each researcher in its own post."""
        return tag

    def upload_collection_files(
        self,
        prefix: str,
        tag: str,
        content_hash: str,
        files: dict[str, bytes],
        recipient_email: str | None = None,
    ) -> None:
        """Nothing is to be sent: the service answers researchers from its own store."""

    def share_collection(self, prefix: str, tag: str, content_hash: str, users: list[str]) -> None:
        """Let these users see a data set."""
        self._desk.share_data_set(tag, users)

    def tag_collection_as_any(self, prefix: str, tag: str, content_hash: str) -> None:
        """Let every pinned researcher see a data set."""
        self._desk.share_data_set(tag, None)

    def delete_collection(self, prefix: str, tag: str) -> None:
        """Take a data set away."""
        self._desk.delete_data_set(tag)

    def delete_file_by_id(self, file_id: str) -> None:
        """Nothing lies anywhere else."""

    def delete_syftbox(self, verbose: bool = True, broadcast_delete_events: bool = True) -> None:
        """Refused: the folder shows what others sent, and cannot be asked for again."""
        raise RefusedError(
            f"The folder {self.syftbox_folder} shows what was sent and received, and is not deleted from here; remove "
            "it by hand when no session and no service uses it."
        )


class _NoSyncer(DatasiteOwnerSyncer):  # type: ignore[misc]  # syft carries no types
    """Stands where upstream's client expects its own way of sending; there is nothing left for it to do."""

    def register_any_shared_collection(self, tag: str, content_hash: str) -> None:
        """Who may see a data set stands in the database."""


def open_client(
    engine: Engine, job_client: JobClient, data_sets: SyftDatasetManager, job_runner: SyftJobRunner | None
) -> SyftRDSClient:
    """PySyft's own client over our engine."""
    return SyftRDSClient(sync_engine=engine, job_client=job_client, job_runner=job_runner, dataset_manager=data_sets)


def describe_peer(address: str, state: PeerState) -> Peer:
    """A peer as PySyft lists it. Everybody is taken to run this version: what matters of it travels in our messages."""
    return Peer(
        email=address,
        platforms=[_PLATFORM],
        state=state,
        version=VersionInfo(
            syft_client_version=SYFT_VERSION,
            min_supported_syft_client_version=MIN_SUPPORTED_SYFT_VERSION,
            protocol_version=PROTOCOL_VERSION,
            min_supported_protocol_version=MIN_SUPPORTED_PROTOCOL_VERSION,
            syft_client_install_source=f"syft=={SYFT_VERSION}",
        ),
    )


def _address(email_or_peer: str | Peer) -> str:
    return email_or_peer if isinstance(email_or_peer, str) else str(email_or_peer.email)
