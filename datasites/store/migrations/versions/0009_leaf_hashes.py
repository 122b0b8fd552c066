"""Where an entry stands in the log is looked up by its leaf hash, at every gate: an index makes that quick."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_log_entries_leaf_hash"), "log_entries", ["leaf_hash", "position"])
