"""Witnesses of the log: whom this site asks, whose checkpoints it keeps, and what a recovery wrote off."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "reservations",
        sa.Column(
            "lost",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="closed by a recovery: all of it counts as spent",
        ),
    )
    op.add_column(
        "rounds",
        sa.Column(
            "commitment",
            sa.String(length=64),
            nullable=True,
            comment="keyed, to the masked vector; as the log names it",
        ),
    )
    op.add_column(
        "rounds",
        sa.Column(
            "awaited_size",
            sa.BigInteger(),
            nullable=True,
            comment="log size to be witnessed before the answer may go",
        ),
    )
    op.create_table(
        "witnesses",
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column(
            "nonce", sa.String(length=32), nullable=True, comment="of the newest question; no other answer counts"
        ),
        sa.Column("asked_size", sa.BigInteger(), nullable=False, comment="of this site's newest checkpoint sent there"),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("kept_size", sa.BigInteger(), nullable=False, comment="of the newest it is known to keep"),
        sa.Column(
            "held_size",
            sa.BigInteger(),
            nullable=False,
            comment="of the one it confirmed since it was asked anew; 0 if none",
        ),
        sa.ForeignKeyConstraint(["party"], ["peers.party"], name=op.f("fk_witnesses_party_peers")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_witnesses")),
    )
    op.create_table(
        "witnessed",
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False, comment="the newest of that party's log"),
        sa.Column("balance", sa.Text(), nullable=False, comment="sealed by that party for itself"),
        sa.ForeignKeyConstraint(["party"], ["peers.party"], name=op.f("fk_witnessed_party_peers")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_witnessed")),
    )
    op.create_table(
        "set_backs",
        sa.Column("witness", sa.String(length=64), nullable=False),
        sa.Column(
            "checkpoint", sa.Text(), nullable=False, comment="of this site's log, which the log does not continue"
        ),
        sa.Column("balance", sa.Text(), nullable=False, comment="sealed by this site with that checkpoint"),
        sa.Column("noticed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["witness"], ["peers.party"], name=op.f("fk_set_backs_witness_peers")),
        sa.PrimaryKeyConstraint("witness", name=op.f("pk_set_backs")),
    )
    op.create_table(
        "recoveries",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("statement", sa.Text(), nullable=False, comment="signed by the owner"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recoveries")),
    )
