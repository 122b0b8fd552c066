"""Approvals that were taken back, and stops of the whole site."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "revocations",
        sa.Column("request", sa.String(length=64), nullable=False, comment="a study's or a job's; none of it goes on"),
        sa.Column("statement", sa.Text(), nullable=False, comment="the signed revocation, as canonical JSON"),
        sa.PrimaryKeyConstraint("request", name=op.f("pk_revocations")),
    )
    op.create_table(
        "stops",
        sa.Column("serial", sa.Integer(), autoincrement=False, nullable=False, comment="from 1"),
        sa.Column("statement", sa.Text(), nullable=False, comment="the signed stop, as canonical JSON"),
        sa.Column("resumption", sa.Text(), nullable=True, comment="the signed word that ends this very stop"),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_stops")),
    )
