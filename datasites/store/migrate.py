"""Brings a datasite's database to the newest schema."""

from pathlib import Path

from sqlalchemy import Engine


def migrate(engine: Engine) -> None:
    """Bring the database to the newest schema, in one transaction; a database already there is left as it is."""
    # Imported here: only `init` and `serve` migrate, and every command would wait for it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
