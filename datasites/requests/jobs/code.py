"""The code of a job: its files' bytes as they were received, checked against the terms each time they are used."""

from collections.abc import Mapping

from datasites.requests.jobs.records import Job
from datasites.site import Site
from policies.errors import NotAuthenticError
from policies.jobs.terms import CODE_FILE_DOMAIN, JobTerms
from policies.statements.digests import digest


def split_code(terms: JobTerms, content: bytes) -> dict[str, bytes]:
    """Cut the bytes that travelled together into the files of the terms, by path.

    Raises:
        NotAuthenticError: they are not the files whose digests the terms carry.
    """
    if len(content) != terms.code_size:
        raise NotAuthenticError(f"The code has {len(content)} bytes; its terms name {terms.code_size}.")
    files, offset = {}, 0
    for file in terms.code:
        files[file.path] = content[offset : offset + file.size]
        offset += file.size
        if digest(CODE_FILE_DOMAIN, files[file.path]) != file.digest:
            raise NotAuthenticError(f"The file {file.path} that arrived is not the one whose digest the terms carry.")
    return files


def code_of(site: Site, job: Job) -> Mapping[str, bytes]:
    """The code of a stored job, by path.

    Raises:
        NotAuthenticError: terms or code are not what was received: somebody changed them.
    """
    changed = NotAuthenticError(
        f"What is stored as job {job.number} is not what was received: somebody changed it; nothing was run."
    )
    if job.terms.digest() != job.digest or job.terms.researcher != job.sender:
        raise changed
    if job.code_file is None or not site.contents.has(job.code_file):
        raise changed
    try:
        return split_code(job.terms, b"".join(site.contents.read(job.code_file)))
    except NotAuthenticError as error:
        raise changed from error
