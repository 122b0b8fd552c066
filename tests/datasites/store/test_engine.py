"""The engine: what commits is on disk, what is deleted is gone, and no two changes interleave."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from datasites.store.engine import open_engine


def new_database(folder: Path) -> Engine:
    return open_engine(f"sqlite:///{folder / 'datasite.sqlite'}")


def test_a_commit_is_on_disk_and_keys_are_checked_and_deleted_rows_are_gone(tmp_path: Path) -> None:
    with new_database(tmp_path).begin() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("synchronous", "foreign_keys", "journal_mode", "secure_delete")
        }
    assert found == {"synchronous": 2, "foreign_keys": 1, "journal_mode": "wal", "secure_delete": 1}


def test_a_transaction_holds_the_write_lock_from_its_first_moment(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "datasite.sqlite", timeout=0, isolation_level=None)
    with new_database(tmp_path).begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()
