"""Weights that came with one study are kept for the next one of the same researcher."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    digest = sa.String(length=64)
    op.create_table(
        "weights",
        sa.Column("sender", digest, nullable=False, comment="who sent it: no other is told"),
        sa.Column("part", digest, nullable=False, comment="the digest of its bytes"),
        sa.Column("file", digest, nullable=False, comment="the content file that it lies in, a study's parameter file"),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False, comment="of that whole file"),
        sa.Column("start", sa.BigInteger(), nullable=False, comment="where in the file it begins"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False, comment="when a study that has it last came"),
        sa.ForeignKeyConstraint(["sender"], ["peers.party"], name=op.f("fk_weights_sender_peers")),
        sa.PrimaryKeyConstraint("sender", "part", name=op.f("pk_weights")),
    )
