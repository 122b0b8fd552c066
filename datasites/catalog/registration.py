"""Register a data set: freeze a snapshot of its table, and find the population whose budget it draws on."""

import re
import secrets
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from datasites.catalog.mock import draw_mock
from datasites.catalog.population import population_to_join
from datasites.catalog.snapshot_folder import registering
from datasites.catalog.snapshot_writer import write_snapshot
from datasites.catalog.sql_source import SqlQuery
from datasites.catalog.table import open_table
from datasites.catalog.unit_index import UnitIndex
from datasites.protocol.private_files import read_given_file
from datasites.site import Site
from datasites.store.data_sets import DataSet, all_data_sets, find_data_set, require_data_set
from datasites.store.tables import budget_tables, data_sets
from datasites.store.tables import unit_fingerprints as fingerprint_table
from policies.budget.ledger import open_population
from policies.errors import ConflictError, InvalidInputError, RefusedError
from policies.log.budget_entries import PopulationOpened
from policies.log.entries import DataSetRegistered
from policies.log.journal import append
from policies.manifest import MAXIMUM_MANIFEST_BYTES, Manifest, parse_manifest

_LARGEST_DELTA = 1e-6
_RESERVED_BY_SYFT = re.compile(r"v[0-9]+")


def register_data_set(site: Site, manifest_file: Path, source: Path | SqlQuery, epsilon: float) -> DataSet:
    """Freeze the table as a data set; its people's lifetime budget is ε = `epsilon`, δ = min(10⁻⁶, 1/(10 × units)).

    If one person of the table is in a population already, the data set joins that population and its budget.

    Raises:
        InvalidInputError: manifest and table disagree; nothing was changed.
        ConflictError: a data set of this name exists.
        RefusedError: the people belong to two populations, or have a budget of another ε already.
    """
    manifest = parse_manifest(read_given_file(manifest_file, maximum_bytes=MAXIMUM_MANIFEST_BYTES, what="The manifest"))
    if _RESERVED_BY_SYFT.fullmatch(manifest.name):
        raise InvalidInputError(f"Syft keeps the name «{manifest.name}» for itself; give the data set another name.")
    with (
        registering(site),
        open_table(source) as table,
        UnitIndex(table, manifest, site.catalog_keys, site.home.snapshots) as units,
    ):
        # Before the transaction: freezing a large table must not keep the service from its database.
        commitment, path = write_snapshot(site.home.snapshots, table, units, manifest, site.catalog_keys)
        return _register(site, manifest, units, commitment, path.name, epsilon)


def _register(
    site: Site, manifest: Manifest, units: UnitIndex, commitment: str, snapshot_file: str, epsilon: float
) -> DataSet:
    with site.engine.begin() as connection:
        if find_data_set(connection, manifest.name) is not None:
            raise ConflictError(f"There is a data set «{manifest.name}» already; give the new one another name.")
        population = population_to_join(_sharing(connection, units), manifest.holdout.fraction)
        if population is None:
            population = _open_population(connection, site, manifest, epsilon)
        else:
            _check_same_budget(connection, population, epsilon, manifest)
        for marks in units.fingerprints():
            known = set(connection.execute(_known(marks).with_only_columns(fingerprint_table.c.fingerprint)).scalars())
            new = [{"fingerprint": mark, "population": population} for mark in marks if mark not in known]
            if new:
                connection.execute(insert(fingerprint_table), new)
        connection.execute(
            insert(data_sets).values(
                name=manifest.name,
                population=population,
                manifest=manifest.canonical().decode(),
                snapshot_commitment=commitment,
                snapshot_file=snapshot_file,
                mock=draw_mock(manifest).decode(),
                registered_at=site.now,
            )
        )
        append(
            connection,
            DataSetRegistered(
                at=site.now,
                data_set=manifest.name,
                population=population,
                manifest=manifest.digest(),
                snapshot_commitment=commitment,
            ),
        )
        return require_data_set(connection, manifest.name)


def _sharing(connection: Connection, units: UnitIndex) -> dict[str, float]:
    """The populations that a unit of the table is in already, and at what fraction their data sets are held out."""
    found: set[str] = set()
    for marks in units.fingerprints():
        found.update(connection.execute(_known(marks).distinct()).scalars())
    return {
        data_set.population: data_set.manifest.holdout.fraction
        for data_set in all_data_sets(connection)
        if data_set.population in found
    }


def _known(marks: list[str]) -> Select[Any]:
    table = fingerprint_table
    return select(table.c.population).where(table.c.fingerprint.in_(marks))


def _open_population(connection: Connection, site: Site, manifest: Manifest, epsilon: float) -> str:
    identifier = f"population-{secrets.token_hex(8)}"
    delta = _delta(manifest)
    opened = open_population(connection, identifier, epsilon, delta, site.now)
    append(
        connection,
        PopulationOpened(
            at=site.now,
            population=identifier,
            epsilon=epsilon,
            delta=delta,
            filter_order=opened.filter_order,
            allowance_units=opened.allowance_units,
        ),
    )
    return identifier


def _check_same_budget(connection: Connection, population: str, epsilon: float, manifest: Manifest) -> None:
    populations = budget_tables.populations
    had = connection.execute(select(populations).where(populations.c.id == population)).one()
    if had.epsilon != epsilon:
        raise RefusedError(
            f"People of this table have a lifetime budget of ε={had.epsilon:g} already, and a budget never changes: "
            f"register it with --epsilon {had.epsilon:g}, and it draws on the same budget."
        )
    if had.delta > _delta(manifest):
        raise RefusedError(
            f"People of this table have a lifetime budget at δ={had.delta:g} already, too large for a data set of "
            f"{manifest.privacy_unit.nominal_units} units; register only the people who are new."
        )


def _delta(manifest: Manifest) -> float:
    return min(_LARGEST_DELTA, 1 / (10 * manifest.privacy_unit.nominal_units))
