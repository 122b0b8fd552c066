"""Shows each received study as one frozen PySyft job, with its status kept in step; asks Syft nothing."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field, StringConstraints, ValidationError
from syft_job import JobState, JobStatus, JobSubmissionMetadata
from syft_job.job_storage import JobRef
from syft_job.migrations.registry import JOB_PROTOCOL_VERSION

from datasites.protocol.status_names import StudyStatusName
from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.job_storage import job_storage
from datasites.syft_bridge.placing import building, counterpart, place, same_tree
from policies.errors import ConflictError, InvalidInputError
from policies.statements.digests import digest
from policies.statements.schema import Digest, StrictModel, Text, describe_validation_error

SOURCE_FILE = "source.py"
ALLOWED_FILES = frozenset({SOURCE_FILE, "terms.json", "loss_program.json", "metrics_program.json"})
"""The only names that a file of a job can have; they are ours, never the researcher's."""

_LABEL_DOMAIN = "@researcher.invalid"
MAXIMUM_FILES_BYTES = 16 * 1024 * 1024

_RUN_SCRIPT = """#!/bin/sh
# Nothing is run from here. Cloister runs an approved request itself, from the snapshot that was approved.
echo "Cloister runs approved requests itself; this job only shows one." >&2
exit 1
"""
_REASON = "Cloister decides on requests and runs them; Syft only shows them."

_SYFT_STATUS: Mapping[StudyStatusName, JobStatus] = {
    "received": JobStatus.PENDING,
    "pending": JobStatus.PENDING,
    "approved": JobStatus.APPROVED,
    "denied": JobStatus.REJECTED,
    "running": JobStatus.RUNNING,
    "done": JobStatus.DONE,
    # Syft has one word for all that ended before it was finished.
    "refused": JobStatus.FAILED,
    "failed": JobStatus.FAILED,
    "expired": JobStatus.FAILED,
    "closed": JobStatus.FAILED,
    "revoked": JobStatus.REJECTED,
    "superseded": JobStatus.FAILED,
}


class RequestCard(StrictModel):
    """What Syft shows of a request beside its files. Syft puts none of these texts into a page or a path."""

    digest: Digest
    title: Annotated[Text, StringConstraints(max_length=200)]
    researcher: Annotated[Text, StringConstraints(max_length=200)]
    received_at: Annotated[int, Field(ge=0, le=2**40, description="seconds since 1970, UTC")]


def job_name(request_digest: str) -> str:
    """The job that shows this request: 128 bits of the digest of its terms, so that no two requests share one.

    Raises:
        InvalidInputError: this is not a digest.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", request_digest):
        raise InvalidInputError("A request is named by the 64 hexadecimal digits of its digest.")
    return f"request-{request_digest[:32]}"


def record_request(
    folder: SyftFolder,
    request_digest: str,
    *,
    title: str,
    researcher_name: str,
    files: Mapping[str, bytes],
    received_at: int,
) -> str:
    """Make Syft show a checked request as one job in status pending, and return the job's name.

    Recording the same again changes no byte, and leaves the status as it is.

    Args:
        files: UTF-8 texts under names of `ALLOWED_FILES`, `SOURCE_FILE` among them, at most 16 MiB together.
        received_at: seconds since 1970, UTC, as stored with the request.

    Raises:
        InvalidInputError: a text, name or file is not as described; nothing was changed.
        ConflictError: the request has a job already, with other contents; the job was not touched.
    """
    name = job_name(request_digest)
    try:
        card = RequestCard(digest=request_digest, title=title, researcher=researcher_name, received_at=received_at)
    except ValidationError as error:
        raise InvalidInputError(f"The request cannot be shown: {describe_validation_error(error)}.") from error
    _check_files(files)
    with building(folder) as twin:
        ref = JobRef(folder.owner_email, _researcher_label(card.researcher), name, JOB_PROTOCOL_VERSION)
        staged = _stage_submission(twin, ref, card, files)
        standing = _find(folder, name)
        if standing is not None:
            final = counterpart(staged, twin_root=twin.box, root=folder.box)
            if not same_tree(staged, final):
                raise ConflictError(
                    f"The job {name} has other contents than the request; a job never changes. If somebody edited "
                    f"{job_storage(folder.job_config()).submission_dir(standing)}, remove that folder."
                )
            return name
        # The state goes first: a job without one would be taken by upstream's own inbox scan.
        place(_stage_state(twin, ref, "pending"), twin_root=twin.box, root=folder.box)
        place(staged, twin_root=twin.box, root=folder.box)
    return name


def set_status(folder: SyftFolder, request_digest: str, status: StudyStatusName) -> None:
    """Make Syft show `status` for a recorded request, whatever it shows now.

    The database is the truth: calling this again, for each request, at every start puts right what a crash, or
    somebody in a notebook, has left.

    Raises:
        InvalidInputError: this is not a digest or not a status.
        ConflictError: the request was not recorded.
    """
    name = job_name(request_digest)
    if status not in get_args(StudyStatusName):
        raise InvalidInputError(f"A request is {', '.join(get_args(StudyStatusName))}; it has no other status.")
    with building(folder) as twin:
        ref = _find(folder, name)
        if ref is None:
            raise ConflictError(f"There is no job {name} in {folder.box}; record the request first.")
        staged = _stage_state(twin, ref, status)
        if not same_tree(staged, counterpart(staged, twin_root=twin.box, root=folder.box)):
            place(staged, twin_root=twin.box, root=folder.box)


def _stage_submission(twin: SyftFolder, ref: JobRef, card: RequestCard, files: Mapping[str, bytes]) -> Path:
    storage = job_storage(twin.job_config(), ref.datasite_email)
    submission: Path = storage.submission_dir(ref)
    (submission / "code").mkdir(parents=True, mode=0o700)
    for file_name, content in files.items():
        (submission / "code" / file_name).write_bytes(content)
    (submission / "run.sh").write_text(_RUN_SCRIPT, encoding="utf-8")
    storage.write_submission(
        ref,
        JobSubmissionMetadata(
            name=ref.job_name,
            type="python",
            submitted_by=ref.ds_email,
            datasite_email=ref.datasite_email,
            submitted_at=datetime.fromtimestamp(card.received_at, UTC),
            entrypoint=SOURCE_FILE,
            files=sorted(files),
            is_folder_submission=True,
            headers={"request": card.digest, "title": card.title, "researcher": card.researcher},
        ),
    )
    for path in submission.rglob("*"):
        if path.is_file():
            path.chmod(0o400)
    return submission


def _stage_state(twin: SyftFolder, ref: JobRef, status: StudyStatusName) -> Path:
    granted = status in ("approved", "running", "done")
    state = JobState(
        status=_SYFT_STATUS[status],
        approved_by=ref.datasite_email if granted else None,
        approval_method="cloister" if granted else None,
        rejected_by=ref.datasite_email if status == "denied" else None,
        review_reason=_REASON,
    )
    path: Path = job_storage(twin.job_config(), ref.ds_email).write_state(ref, state)
    # Read-only, so that Syft's own approve() fails rather than claim a success that nobody heeds.
    path.chmod(0o400)
    return path


def _find(folder: SyftFolder, name: str) -> JobRef | None:
    # Only below our own labels: elsewhere a researcher may have given this very name to a job of its own.
    storage = job_storage(folder.job_config())
    found = (ref for ref in storage.iter_submission_refs(folder.owner_email) if ref.ds_email.endswith(_LABEL_DOMAIN))
    return next((ref for ref in found if ref.job_name == name), None)


def _check_files(files: Mapping[str, bytes]) -> None:
    if SOURCE_FILE not in files or not files.keys() <= ALLOWED_FILES:
        raise InvalidInputError(
            f"A job holds {SOURCE_FILE} and of other files only {', '.join(sorted(ALLOWED_FILES))}."
        )
    size = sum(map(len, files.values()))
    if size > MAXIMUM_FILES_BYTES:
        raise InvalidInputError(f"The request's files have {size} bytes; a job holds at most {MAXIMUM_FILES_BYTES}.")
    for file_name, content in files.items():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"The request's {file_name} is not UTF-8 text.") from error


def _researcher_label(name: str) -> str:
    """The «address» that Syft shows, and names a folder by: a few of the name's letters, and a digest of all of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    letters = "-".join(re.findall(r"[a-z0-9]+", plain))[:40].strip("-") or "researcher"
    return f"{letters}-{digest('syft-researcher', name.encode())[:12]}{_LABEL_DOMAIN}"
