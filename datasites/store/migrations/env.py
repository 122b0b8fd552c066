"""Alembic's entry point: runs migrations on the connection that `datasites.store.migrate.migrate` hands over."""

from alembic import context

from datasites.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
