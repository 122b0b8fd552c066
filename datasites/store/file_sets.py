"""Sets of files that jobs may see, as they stand in the database."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints
from sqlalchemy import Connection, Row, select

from datasites.protocol.job_messages import MAXIMUM_MOCK_FILES, MAXIMUM_README_CHARACTERS, MockFile
from datasites.store.tables import file_set_shares, file_sets
from policies.errors import InvalidInputError
from policies.jobs.names import DataFileName
from policies.statements.schema import Digest, StrictModel, Text, parse_model

_MAXIMUM_CARD_BYTES = 512 * 1024


class PrivateFile(StrictModel):
    """One private file, where its owner keeps it: never copied, known by a keyed commitment to its bytes."""

    name: DataFileName
    path: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    size: Annotated[int, Field(ge=0, le=2**53 - 1)]
    commitment: Digest


class FileSetCard(StrictModel):
    """What the owner said of a set of files, its mock files, and where the private ones lie."""

    summary: Text
    readme: Annotated[str, StringConstraints(max_length=MAXIMUM_README_CHARACTERS)]
    tags: tuple[Annotated[Text, StringConstraints(max_length=50)], ...]
    mock: Annotated[tuple[MockFile, ...], Field(min_length=1, max_length=MAXIMUM_MOCK_FILES)]
    private: Annotated[tuple[PrivateFile, ...], Field(min_length=1, max_length=MAXIMUM_MOCK_FILES)]


@dataclass(frozen=True)
class FileSet:
    """A set of files; `population` is whose privacy budget does not cover what jobs release of it, if it has one."""

    name: str
    card: FileSetCard
    commitment: str
    mock_file: str
    population: str | None
    shared_with_all: bool
    contacts: tuple[str, ...]
    registered_at: int

    def visible_to(self, contact: str | None) -> bool:
        """Whether a researcher whose accepted address is `contact` may see it."""
        return self.shared_with_all or (contact is not None and contact in self.contacts)


def find_file_set(connection: Connection, name: str) -> FileSet | None:
    """The set of files called `name`, or None."""
    row = connection.execute(select(file_sets).where(file_sets.c.name == name)).one_or_none()
    return None if row is None else _file_set(connection, row)


def require_file_set(connection: Connection, name: str) -> FileSet:
    """The set of files called `name`.

    Raises:
        InvalidInputError: there is none.
    """
    found = find_file_set(connection, name)
    if found is None:
        raise InvalidInputError(f"There is no set of files «{name}»; «datasite files list» names those there are.")
    return found


def all_file_sets(connection: Connection) -> list[FileSet]:
    """Every set of files, by name."""
    rows = connection.execute(select(file_sets).order_by(file_sets.c.name)).all()
    return [_file_set(connection, row) for row in rows]


def file_set_states(connection: Connection) -> tuple[tuple[str, int, str, str], ...]:
    """Every set's name, time of registration, commitment and mock content, by name, without reading the rest."""
    columns = file_sets.c.name, file_sets.c.registered_at, file_sets.c.commitment, file_sets.c.mock_file
    return tuple(connection.execute(select(*columns).order_by(file_sets.c.name)).tuples())


def _file_set(connection: Connection, row: Row[tuple[object, ...]]) -> FileSet:
    columns = row._mapping
    shares = select(file_set_shares.c.contact).where(file_set_shares.c.file_set == columns["name"])
    card = parse_model(
        FileSetCard, columns["card"].encode(), maximum_bytes=_MAXIMUM_CARD_BYTES, what="A stored set of files"
    )
    return FileSet(
        name=columns["name"],
        card=card,
        commitment=columns["commitment"],
        mock_file=columns["mock_file"],
        population=columns["population"],
        shared_with_all=bool(columns["shared_with_all"]),
        contacts=tuple(connection.execute(shares.order_by(file_set_shares.c.contact)).scalars()),
        registered_at=columns["registered_at"],
    )
