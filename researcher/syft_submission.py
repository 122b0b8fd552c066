"""From the folder that PySyft writes for a job to frozen terms and code; what a site would refuse is refused here."""

import ast
import os
import secrets
import shutil
import stat
import time
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from syft_job import JobSubmissionMetadata

from policies.errors import InvalidInputError
from policies.jobs.requirements import require_packages
from policies.jobs.terms import CODE_FILE_DOMAIN, MAXIMUM_CODE_BYTES, CodeFile, JobLimits, JobTerms
from policies.statements.digests import digest
from policies.statements.schema import describe_validation_error
from researcher.job_state import Address

_BYTECODE = "__pycache__"
_VALID_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class Stated:
    """What a researcher states of every job: what for, for whom, what comes after, and what a run may use."""

    purpose: str
    legal_basis: str
    recipients: str
    onward_use: str
    limits: JobLimits


def read_submission(
    job_dir: Path, researcher: str, address: Address, data_sets: Collection[str], stated: Stated, supersedes: str | None
) -> tuple[JobTerms, bytes]:
    """Read a submission folder; give the job's terms and its files' bytes in the order of the terms.

    Args:
        researcher: the researcher's party.
        address: the site that the job is for.
        data_sets: the names of the site's data sets that this researcher may see; those that the code names are asked
            for.
        supersedes: the digest of the terms of an earlier job that this one replaces.

    Raises:
        InvalidInputError: a name, size, link or text is not as sites accept it; nothing was sent.
        RefusedError: it needs packages that the site does not offer.
    """
    metadata = JobSubmissionMetadata.load(job_dir / "config.yaml")
    files = _read_code(job_dir / "code")
    requirements = _requirements(metadata, files)
    if address.packages:  # else the site has not said yet; it refuses what it does not have
        require_packages(requirements, address.packages)
    try:
        terms = JobTerms(
            version="cloister-job/1",
            job=secrets.token_hex(16),
            name=metadata.name,
            researcher=researcher,
            site=address.site,
            data_sets=tuple(sorted(_named(files, data_sets))),
            entrypoint=metadata.entrypoint,
            code=tuple(
                CodeFile(path=path, size=len(content), digest=digest(CODE_FILE_DOMAIN, content))
                for path, content in files.items()
            ),
            requirements=tuple(requirements),
            limits=stated.limits,
            purpose=stated.purpose,
            legal_basis=stated.legal_basis,
            recipients=stated.recipients,
            onward_use=stated.onward_use,
            supersedes=supersedes,
            expires_at=int(time.time()) + _VALID_SECONDS,
        )
    except ValidationError as error:
        raise InvalidInputError(f"No site accepts this job: {describe_validation_error(error)}.") from error
    return terms, b"".join(files.values())


def _read_code(folder: Path) -> dict[str, bytes]:
    """The files below `folder` by their relative paths, in order; compiled Python is thrown away, and links refused."""
    files: dict[str, bytes] = {}
    size = 0
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if not stat.S_ISREG(path.lstat().st_mode):
            raise InvalidInputError(f"{name} is a link or no plain file; a job consists of plain files only.")
        size += path.lstat().st_size
        if size > MAXIMUM_CODE_BYTES:
            raise InvalidInputError(
                f"The code has more than {MAXIMUM_CODE_BYTES} bytes; leave data out of it, it belongs in a data set."
            )
        files[name] = path.read_bytes()
    return dict(sorted(files.items()))


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)
            elif entry.name == _BYTECODE:
                shutil.rmtree(entry.path)
            else:
                yield from _walk(Path(entry.path))


def _requirements(metadata: JobSubmissionMetadata, files: Mapping[str, bytes]) -> list[str]:
    """What the job asks for, in PySyft's words and in its own pyproject.toml.

    The first dependency is PySyft's own: where it was installed from, on the researcher's machine.
    """
    asked: list[str] = list(metadata.dependencies[1:])
    if "pyproject.toml" in files:
        try:
            asked += tomllib.loads(files["pyproject.toml"].decode())["project"]["dependencies"]
        except KeyError:
            pass  # it asks for nothing
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
            raise InvalidInputError("The job's pyproject.toml cannot be read; mend it or leave it out.") from error
    return asked


def _named(files: Mapping[str, bytes], data_sets: Collection[str]) -> set[str]:
    """The data sets that the code names, each in a text of its own or as `load_dataset_code("name.module")` does."""
    named: set[str] = set()
    for path, content in files.items():
        if path.endswith(".py"):
            named |= set(_texts(path, content)) & set(data_sets)
    return named


def _texts(path: str, content: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is not Python that can be read here; mend it, then submit again.") from error
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Call(
                func=ast.Attribute(attr="load_dataset_code") | ast.Name(id="load_dataset_code"),
                args=[ast.Constant(value=str(text)), *_],
            ):
                yield text.partition(".")[0]
