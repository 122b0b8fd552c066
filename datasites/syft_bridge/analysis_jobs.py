"""Shows each job that was received as a frozen PySyft job, its status in step, and of its outputs the released ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from syft_job import JobState, JobStatus, JobSubmissionMetadata
from syft_job.job_storage import JobRef
from syft_job.migrations.registry import JOB_PROTOCOL_VERSION

from datasites.protocol.unpacking import unpack
from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.job_storage import SYFT_STATUS, job_storage, shown_reason
from datasites.syft_bridge.placing import building, counterpart, place, same_tree
from policies.errors import ConflictError
from policies.jobs.release import OutputFact
from policies.jobs.terms import JobTerms
from policies.statements.digests import digest

REQUEST = "request"
"""The header of a shown job that says which request it shows."""

_RUN_SCRIPT = """#!/bin/sh
# Nothing is run from here. Cloister runs an approved job itself, from the snapshot that was approved.
echo "Cloister runs approved jobs itself; this folder only shows one." >&2
exit 1
"""


@dataclass(frozen=True)
class ShownJob:
    """A job as it is to be shown: under whose address, at which status, and why.

    Attributes:
        code: the files as they were received, by path; None where they are not kept any more: what is shown stays.
        received_at: seconds since 1970, UTC.
    """

    terms: JobTerms
    researcher: str
    status: str
    detail: str
    code: Mapping[str, bytes] | None
    received_at: int


def unaccepted_address(party: str) -> str:
    """The label of a researcher whose address the owner has not accepted; no mail goes there."""
    return f"researcher-{digest('syft-unaccepted', party.encode())[:12]}@unaccepted.invalid"


def show_job(folder: SyftFolder, shown: ShownJob) -> None:
    """Make Syft show the job exactly so. Showing it again changes no byte; under another address it moves there.

    Raises:
        ConflictError: the job stands there with other contents: somebody edited it, or a link leads out of the box.
    """
    with building(folder) as twin:
        ref = _ref(folder, shown.researcher, shown.terms)
        for other in _others(folder, ref, shown.terms.digest()):
            _move(folder, other, ref)
        # The state goes first: a job without one would be taken by upstream's own inbox scan.
        _settle(folder, twin, _stage_state(twin, ref, shown))
        if shown.code is None:
            return
        staged = _stage_submission(twin, ref, shown, shown.code)
        final = counterpart(staged, twin_root=twin.box, root=folder.box)
        if final.exists() and not same_tree(staged, final):
            raise ConflictError(f"The job in {final} was edited; a job never changes: remove that folder.")
        _settle(folder, twin, staged)


def show_outputs(
    folder: SyftFolder, researcher: str, terms: JobTerms, files: Sequence[OutputFact], content: Iterable[bytes]
) -> None:
    """Put released outputs and logs where Syft looks for them; `content` is the bytes of `files`, one after the other.

    Raises:
        InvalidInputError: the content does not have the sizes that `files` say.
        ConflictError: a link in the box leads out of it.
    """
    with building(folder) as twin:
        review: Path = job_storage(twin.job_config()).review_dir(_ref(folder, researcher, terms))
        (review / "outputs").mkdir(parents=True, mode=0o700)
        unpack(content, [(review / ("outputs" if it.kind == "output" else ".") / it.path, it.size) for it in files])
        for staged in review.iterdir():
            _settle(folder, twin, staged)


def _ref(folder: SyftFolder, researcher: str, terms: JobTerms) -> JobRef:
    return JobRef(folder.owner_email, researcher, terms.name, JOB_PROTOCOL_VERSION)


def _settle(folder: SyftFolder, twin: SyftFolder, staged: Path) -> None:
    if not same_tree(staged, counterpart(staged, twin_root=twin.box, root=folder.box)):
        place(staged, twin_root=twin.box, root=folder.box)


def _stage_submission(twin: SyftFolder, ref: JobRef, shown: ShownJob, code: Mapping[str, bytes]) -> Path:
    storage = job_storage(twin.job_config(), ref.datasite_email)
    submission: Path = storage.submission_dir(ref)
    for path, content in code.items():
        file = submission / "code" / path
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_bytes(content)
    (submission / "run.sh").write_text(_RUN_SCRIPT, encoding="utf-8")
    storage.write_submission(
        ref,
        JobSubmissionMetadata(
            name=ref.job_name,
            type="python",
            submitted_by=ref.ds_email,
            datasite_email=ref.datasite_email,
            submitted_at=datetime.fromtimestamp(shown.received_at, UTC),
            entrypoint=shown.terms.entrypoint,
            dependencies=list(shown.terms.requirements),
            files=sorted(code),
            is_folder_submission=len(code) > 1,
            headers={REQUEST: shown.terms.digest()},
        ),
    )
    for written in submission.rglob("*"):
        if written.is_file():
            written.chmod(0o400)
    return submission


def _stage_state(twin: SyftFolder, ref: JobRef, shown: ShownJob) -> Path:
    status = SYFT_STATUS[shown.status]
    granted = shown.status in ("approved", "running", "held", "released", "withheld")
    state = JobState(
        status=status,
        approved_by=ref.datasite_email if granted else None,
        approval_method="manual" if granted else None,
        rejected_by=ref.datasite_email if status is JobStatus.REJECTED else None,
        review_reason=shown_reason(shown.detail),
    )
    path: Path = job_storage(twin.job_config(), ref.ds_email).write_state(ref, state)
    path.chmod(0o400)
    return path


def _others(folder: SyftFolder, ref: JobRef, request: str) -> list[JobRef]:
    """Where else this request is shown: under the address that its researcher had before."""
    storage = job_storage(folder.job_config())
    named = (it for it in storage.iter_submission_refs(folder.owner_email) if it.job_name == ref.job_name)
    return [
        it
        for it in named
        if it != ref and request in (storage.submission_dir(it) / "config.yaml").read_text(errors="replace")
    ]


def _move(folder: SyftFolder, old: JobRef, new: JobRef) -> None:
    storage = job_storage(folder.job_config())
    for place_of in (storage.review_dir, storage.submission_dir):
        source, target = place_of(old), place_of(new)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        source.rename(target)
