"""The outputs of a job's newest execution: one file with their bytes one after the other, and a commitment to it."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from datasites.requests.jobs.records import Job
from datasites.site import Site
from policies.errors import NotAuthenticError
from policies.jobs.release import OutputFact
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import keyed_commitment


def output_commitment(
    site: Site, request: str, attempt: int, sha256_of_bytes: bytes, files: Sequence[OutputFact]
) -> str:
    """The keyed commitment to one execution's outputs: to the SHA-256 of all their bytes, their names and sizes."""
    facts = canonical_bytes([file.model_dump(mode="json") for file in files])
    whose = request.encode(), attempt.to_bytes(4)
    return keyed_commitment(site.catalog_keys.commitment, "job-outputs", *whose, sha256_of_bytes, facts)


def findings_seal(site: Site, output_commitment: str, findings: bytes) -> str:
    """The keyed commitment to what the inspection of these outputs found."""
    return keyed_commitment(site.catalog_keys.commitment, "job-findings", output_commitment.encode(), findings)


def output_pieces(site: Site, job: Job, chosen: Sequence[OutputFact]) -> Iterator[bytes]:
    """The bytes of the chosen outputs, one after the other, in their order among all.

    Raises:
        NotAuthenticError: what is stored is not what the run wrote, before the first byte is given.
    """
    _require_as_written(site, job)
    places, offset = [], 0
    for file in job.run.files if job.run is not None else ():
        if file in chosen:
            places.append((offset, offset + file.size))
        offset += file.size
    at = 0
    for piece in _stored(site, job):
        for start, end in places:
            if start < at + len(piece) and end > at:
                yield piece[max(0, start - at) : end - at]
        at += len(piece)


def output_contents(site: Site, job: Job) -> list[tuple[OutputFact, bytes]]:
    """Each output and log of the newest execution with its bytes.

    Raises:
        NotAuthenticError: there are none, or what is stored is not what the run wrote.
    """
    files = job.run.files if job.run is not None else ()
    content, offset, found = b"".join(output_pieces(site, job, files)), 0, []
    for file in files:
        found.append((file, content[offset : offset + file.size]))
        offset += file.size
    return found


def _require_as_written(site: Site, job: Job) -> None:
    if job.run is None:
        raise _changed(job)
    hasher = sha256()
    for piece in _stored(site, job):
        hasher.update(piece)
    if output_commitment(site, job.digest, job.attempt, hasher.digest(), job.run.files) != job.run.commitment:
        raise _changed(job)


def _stored(site: Site, job: Job) -> Iterator[bytes]:
    try:
        yield from site.contents.read(job.outputs_file or "")
    except OSError as error:  # it is swept away as soon as the job is closed
        raise _changed(job) from error


def _changed(job: Job) -> NotAuthenticError:
    return NotAuthenticError(f"The stored outputs of job {job.number} are not those that its run wrote.")
