"""PySyft's own sessions over our post: `login_ds` for a researcher, `login_do` for a data owner."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from syft_job import SyftJobConfig
from syft_rds import SyftRDSClient

from datasites.protocol.private_files import make_private_folder
from datasites.syft_bridge.engine import Engine, open_client
from datasites.syft_bridge.owner_session import login_do
from policies.errors import InvalidInputError
from policies.jobs.names import Email
from policies.jobs.terms import JobLimits
from researcher.federation import connect
from researcher.job_state import bind_address, claim_account
from researcher.syft_box import Box
from researcher.syft_desk import ResearcherDesk
from researcher.syft_submission import Stated
from researcher.syft_views import ResearcherDataSets, ResearcherJobs

__all__ = ["login_do", "login_ds"]

_EMAIL: TypeAdapter[str] = TypeAdapter(Email)


def login_ds(
    email: str,
    *,
    home: Path | str,
    name: str,
    relay: str,
    sites: Mapping[str, tuple[Path | str, str]] | None = None,
    purpose: str = "Not stated.",
    legal_basis: str = "Not stated.",
    recipients: str = "The researcher who asks.",
    onward_use: str = "None stated.",
    limits: JobLimits | None = None,
    patience_seconds: float = 60.0,
) -> SyftRDSClient:
    """Log in as a researcher; gives PySyft's own client, to be used as its users know it.

    Args:
        email: the address to be shown under; a label, proof of nothing. One folder is one address's for good.
        home: the researcher's own folder; `connect` may use the same one, at another time.
        name: whom the keys are made for, on first use.
        relay: the relay's URL.
        sites: for each address of the researcher's own choice a site's card file and the fingerprint that the site's
            owner read aloud. Pinned once; later logins need not name it again.
        purpose, legal_basis, recipients, onward_use: stated in the terms of every job.
        limits: what a run of a job may use; an hour, 4 GiB of memory and 512 MiB of disk if not said.
        patience_seconds: for how long to try where the relay does not answer.

    Raises:
        InvalidInputError: an address, a card or a fingerprint is not as described.
        ConflictError: the folder, an address or a site belongs to another.
        UnavailableError: the relay cannot be reached.
    """
    limits = limits or JobLimits(wall_seconds=3600, memory_mib=4096, disk_mib=512)
    for address in (email, *(sites or {})):
        _require_email(address)
    folder = Path(home).expanduser()
    federation = connect(folder, name=name, relay=relay, patience_seconds=patience_seconds)
    state = federation.correspondence.state
    claim_account(state, email)
    for address, (card_file, fingerprint) in (sites or {}).items():
        bind_address(state, address, federation.pin(card_file, fingerprint).party)
    box = Box(folder / f"SyftBox_{email}", folder / "syft-staging", email)
    shutil.rmtree(box.staging, ignore_errors=True)  # what a kernel left that ended in the middle
    make_private_folder(box.folder)
    (box.folder / email).mkdir(exist_ok=True)
    desk = ResearcherDesk(
        federation.correspondence,
        box,
        Stated(purpose, legal_basis, recipients, onward_use, limits),
        patience_seconds,
    )
    client = open_client(
        Engine.over(desk, box=box.folder, email=email, owner=False),
        ResearcherJobs(SyftJobConfig(syftbox_folder=box.folder, current_user_email=email), desk),
        ResearcherDataSets(box.folder, email),
        None,
    )
    desk.inbox.show_states()
    client.sync()
    return client


def _require_email(address: str) -> None:
    try:
        _EMAIL.validate_python(address)
    except ValidationError as error:
        raise InvalidInputError(
            f"«{address}» is not an e-mail address as PySyft names people by; write one such as ada@lab.example."
        ) from error
