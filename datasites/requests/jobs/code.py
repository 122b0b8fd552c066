"""The code of a job: its files' bytes as they were received, checked against the terms each time they are used."""

from collections.abc import Mapping
from io import BytesIO
from tokenize import detect_encoding

from datasites.requests.jobs.records import Job
from datasites.site import Site
from policies.errors import InvalidInputError, NotAuthenticError
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


def require_plain_source(files: Mapping[str, bytes]) -> None:
    """Python reads each file as its owner is shown it: as UTF-8, whatever its first lines say.

    Raises:
        InvalidInputError: a file has Python read it in another encoding.
    """
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        try:
            encoding, _ = detect_encoding(BytesIO(content).readline)
        except SyntaxError:
            encoding = "unknown"
        if encoding not in ("utf-8", "utf-8-sig"):
            raise InvalidInputError(f"The file {path} is no UTF-8 to Python; save it as UTF-8, and name no other.")


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
    try:
        return split_code(job.terms, b"".join(site.contents.read(job.code_file or "")))
    except (OSError, NotAuthenticError) as error:
        raise changed from error
