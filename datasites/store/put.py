"""Put a row: change the one that has this key, or insert it; the same on every database."""

from collections.abc import Mapping

from sqlalchemy import Connection, Table, and_, insert, update


def put(connection: Connection, table: Table, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    """Give the row of `table` whose columns are `key` these `values`, making it if there is none."""
    same = and_(*(table.c[name] == value for name, value in key.items()))
    if not connection.execute(update(table).where(same).values(dict(values))).rowcount:
        connection.execute(insert(table).values({**key, **values}))
