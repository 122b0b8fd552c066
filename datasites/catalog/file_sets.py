"""Offer files to jobs: private ones stay where they lie and are committed to, mock ones are what researchers see."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Connection, delete, insert

from datasites.catalog.checked_file import CheckedFile, check_file
from datasites.protocol.job_messages import MAXIMUM_MOCK_FILES, MockFile
from datasites.site import Site
from datasites.store.data_sets import find_data_set, require_data_set
from datasites.store.file_sets import FileSet, FileSetCard, PrivateFile, find_file_set, require_file_set
from datasites.store.put import put
from datasites.store.tables import file_set_shares, file_sets
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError
from policies.jobs.names import FileSetName
from policies.log.entries import LogEntry
from policies.log.job_entries import FileSetRegistered
from policies.log.journal import append
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import keyed_commitment
from policies.statements.schema import StrictModel, describe_validation_error

MOCK_DOMAIN = "mock-files"
MAXIMUM_MOCK_BYTES = 64 * 1024 * 1024


class _Named(StrictModel):
    name: FileSetName


def register_file_set(
    site: Site,
    *,
    name: str,
    summary: str,
    readme: str,
    tags: Sequence[str],
    mock: Path,
    private: Path,
    everybody: bool,
    contacts: Sequence[str],
    people_of: str | None = None,
) -> FileSet:
    """Offer the files at `private` to jobs under `name`, and show those at `mock` to researchers.

    Each of both is one file, or a folder of files. Private files are read through once, and neither copied nor moved.
    Registering a name again takes its files as they are now: approvals of what stood before then cover nothing more.

    Args:
        everybody: whether every pinned researcher may see it; else those whose accepted address is in `contacts`.
        people_of: the data set whose people the files are about: what leaves then counts as outside its guarantee.

    Raises:
        InvalidInputError: a name, text or file is not as described, or a mock file is a private one; nothing changed.
        ConflictError: a data set has this name, or the files were registered for other people before.
    """
    with ExitStack() as opened:
        mocks = [opened.enter_context(check_file(path)) for path in _files(mock)]
        privates = [opened.enter_context(check_file(path)) for path in _files(private)]
        _require_apart(mocks, privates)
        card = _card(site, name, summary, readme, tags, mocks, privates)
        pieces = (piece for file in mocks for piece in _content(file))
        saved = opened.enter_context(site.contents.saved(pieces, MOCK_DOMAIN, sum(file.size for file in mocks)))
        for file in (*mocks, *privates):
            file.require_unchanged()
        commitment = _commitment(site, card)
        with site.engine.begin() as connection:
            population = None if people_of is None else require_data_set(connection, people_of).population
            _require_same_people(connection, name, population)
            values = {
                "card": card.canonical().decode(),
                "commitment": commitment,
                "mock_file": saved.name,
                "population": population,
                "shared_with_all": int(everybody),
                "registered_at": site.now,
            }
            put(connection, file_sets, {"name": name}, values)
            _share(connection, name, contacts)
            entry: LogEntry = FileSetRegistered(
                at=site.now, file_set=name, commitment=commitment, population=population
            )
            append(connection, entry)
            return require_file_set(connection, name)


def share_file_set(site: Site, name: str, *, everybody: bool, contacts: Sequence[str]) -> FileSet:
    """Say anew who may see a set of files and write jobs for it.

    Raises:
        InvalidInputError: there is no such set.
    """
    with site.engine.begin() as connection:
        require_file_set(connection, name)
        put(connection, file_sets, {"name": name}, {"shared_with_all": int(everybody)})
        _share(connection, name, contacts)
        return require_file_set(connection, name)


@contextmanager
def private_files(site: Site, file_set: FileSet) -> Iterator[list[tuple[PrivateFile, CheckedFile]]]:
    """Open the private files of a set, each the very one that was registered.

    Raises:
        InvalidInputError: one cannot be read.
        NotAuthenticError: one was changed since it was registered, or what is stored of the set was.
    """
    if _commitment(site, file_set.card) != file_set.commitment:
        raise NotAuthenticError(f"What is stored of «{file_set.name}» is not what was registered; register it again.")
    with ExitStack() as opened:
        found = []
        for known in file_set.card.private:
            file = opened.enter_context(check_file(Path(known.path)))
            if _file_commitment(site, file) != known.commitment:
                raise NotAuthenticError(
                    f"The file {known.path} is not the one that was registered in «{file_set.name}»; register it again."
                )
            found.append((known, file))
        yield found


def _files(place: Path) -> list[Path]:
    path = place.expanduser().resolve()
    if not path.is_dir():
        return [path]
    found = sorted(it for it in path.iterdir() if not it.name.startswith("."))
    if not 1 <= len(found) <= MAXIMUM_MOCK_FILES:
        raise InvalidInputError(f"The folder {place} holds {len(found)} files; 1 to {MAXIMUM_MOCK_FILES} are accepted.")
    return found


def _require_apart(mocks: Sequence[CheckedFile], privates: Sequence[CheckedFile]) -> None:
    secret = {file.sha256 for file in privates if file.size}
    for file in mocks:
        if file.sha256 in secret:
            raise InvalidInputError(f"The mock {file.path} is a private file itself; make one up instead.")
    size = sum(file.size for file in mocks)
    if size > MAXIMUM_MOCK_BYTES:
        raise InvalidInputError(f"The mock files have {size} bytes; at most {MAXIMUM_MOCK_BYTES} are accepted.")


def _card(
    site: Site,
    name: str,
    summary: str,
    readme: str,
    tags: Sequence[str],
    mocks: Sequence[CheckedFile],
    privates: Sequence[CheckedFile],
) -> FileSetCard:
    try:
        _Named(name=name)
        return FileSetCard(
            summary=summary,
            readme=readme,
            tags=tuple(tags),
            mock=tuple(MockFile(name=file.path.name, size=file.size) for file in mocks),
            private=tuple(
                PrivateFile(
                    name=file.path.name,
                    path=str(file.path),
                    size=file.size,
                    commitment=_file_commitment(site, file),
                )
                for file in privates
            ),
        )
    except ValidationError as error:
        raise InvalidInputError(f"The files cannot be offered: {describe_validation_error(error)}.") from error


def _file_commitment(site: Site, file: CheckedFile) -> str:
    return keyed_commitment(site.catalog_keys.commitment, "private-file", file.sha256)


def _commitment(site: Site, card: FileSetCard) -> str:
    files = [[file.name, file.size, file.commitment] for file in card.private]
    return keyed_commitment(site.catalog_keys.commitment, "file-set", canonical_bytes(files))


def _require_same_people(connection: Connection, name: str, population: str | None) -> None:
    if find_data_set(connection, name) is not None:
        raise ConflictError(f"There is a data set «{name}» already; give the files another name.")
    known = find_file_set(connection, name)
    if known is not None and known.population != population:
        raise ConflictError(f"«{name}» was registered for other people before; give the files another name.")


def _share(connection: Connection, name: str, contacts: Sequence[str]) -> None:
    connection.execute(delete(file_set_shares).where(file_set_shares.c.file_set == name))
    rows = [{"file_set": name, "contact": contact} for contact in sorted(set(contacts))]
    if rows:
        connection.execute(insert(file_set_shares), rows)


def _content(file: CheckedFile) -> Iterator[bytes]:
    offset = 0
    while piece := os.pread(file.descriptor, 2**20, offset):
        offset += len(piece)
        yield piece
