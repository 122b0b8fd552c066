"""Registered data sets as they stand in the database."""

from dataclasses import dataclass

from sqlalchemy import Connection, Row, Select, select

from datasites.store.tables import budget_tables, data_sets
from policies.errors import InvalidInputError
from policies.manifest import Manifest
from policies.statements.schema import parse_model

_MAXIMUM_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True)
class DataSet:
    """A data set, its population's lifetime budget (ε, δ) at `filter_order`, and where its snapshot lies."""

    name: str
    population: str
    manifest: Manifest
    snapshot_commitment: str
    snapshot_file: str
    mock: str
    epsilon: float
    delta: float
    filter_order: int
    registered_at: int


def find_data_set(connection: Connection, name: str) -> DataSet | None:
    """The data set called `name`, or None."""
    row = connection.execute(_query().where(data_sets.c.name == name)).one_or_none()
    return None if row is None else _data_set(row)


def require_data_set(connection: Connection, name: str) -> DataSet:
    """The data set called `name`.

    Raises:
        InvalidInputError: there is none.
    """
    data_set = find_data_set(connection, name)
    if data_set is None:
        raise InvalidInputError(f"There is no data set «{name}»; «datasite data list» names those there are.")
    return data_set


def all_data_sets(connection: Connection) -> list[DataSet]:
    """Every registered data set, by name."""
    return [_data_set(row) for row in connection.execute(_query().order_by(data_sets.c.name))]


def data_set_names(connection: Connection) -> tuple[str, ...]:
    """The names of the registered data sets, without reading the rest."""
    return tuple(connection.execute(select(data_sets.c.name).order_by(data_sets.c.name)).scalars())


def _query() -> Select[tuple[object, ...]]:
    populations = budget_tables.populations
    joined = data_sets.join(populations, populations.c.id == data_sets.c.population)
    return select(data_sets, populations.c.epsilon, populations.c.delta, populations.c.filter_order).select_from(joined)


def _data_set(row: Row[tuple[object, ...]]) -> DataSet:
    columns = row._mapping
    return DataSet(
        name=columns["name"],
        population=columns["population"],
        manifest=parse_model(
            Manifest, columns["manifest"].encode(), maximum_bytes=_MAXIMUM_MANIFEST_BYTES, what="A stored manifest"
        ),
        snapshot_commitment=columns["snapshot_commitment"],
        snapshot_file=columns["snapshot_file"],
        mock=columns["mock"],
        epsilon=columns["epsilon"],
        delta=columns["delta"],
        filter_order=columns["filter_order"],
        registered_at=columns["registered_at"],
    )
