"""Cosignatures on this site's log, sightings of others' logs, opened sums, and letters that nobody signed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "witnesses",
        sa.Column(
            "rival_size",
            sa.BigInteger(),
            nullable=True,
            comment="of one that it was shown by others and wants to see proved",
        ),
    )
    op.add_column(
        "witnessed",
        sa.Column(
            "recovery",
            sa.Text(),
            nullable=True,
            comment="the newest by its owner",
        ),
    )
    op.add_column(
        "witnessed",
        sa.Column(
            "lost_size",
            sa.BigInteger(),
            nullable=True,
            comment="of the largest kept here that its owner gave up",
        ),
    )
    op.create_table(
        "cosignatures",
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "checkpoint",
            sa.Text(),
            nullable=False,
            comment="the newest of this site's log that the party cosigned",
        ),
        sa.ForeignKeyConstraint(["party"], ["peers.party"], name=op.f("fk_cosignatures_party_peers")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_cosignatures")),
    )
    op.create_table(
        "sightings",
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "checkpoint",
            sa.Text(),
            nullable=False,
            comment="of that party's log, as kept here or as somebody else keeps it",
        ),
        sa.Column(
            "proved",
            sa.Integer(),
            nullable=False,
            comment="1 if what is kept here continues it, 0 if that is not shown yet",
        ),
        sa.ForeignKeyConstraint(["party"], ["peers.party"], name=op.f("fk_sightings_party_peers")),
        sa.PrimaryKeyConstraint("party", "size", name=op.f("pk_sightings")),
    )
    op.create_table(
        "two_histories",
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("first", sa.Text(), nullable=False, comment="two checkpoints of one size that its log key signed"),
        sa.Column("second", sa.Text(), nullable=False),
        sa.Column("noticed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["party"], ["peers.party"], name=op.f("fk_two_histories_party_peers")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_two_histories")),
    )
    op.create_table(
        "sums",
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column(
            "opened",
            sa.Text(),
            nullable=True,
            comment="the researcher's signed word that holds this site's vector once",
        ),
        sa.Column("disputed", sa.Text(), nullable=True, comment="the first signed word by the same on anything else"),
        sa.ForeignKeyConstraint(["request"], ["requests.digest"], name=op.f("fk_sums_request_requests")),
        sa.PrimaryKeyConstraint("request", "round", name=op.f("pk_sums")),
    )
    op.create_table(
        "failed_signatures",
        sa.Column("party", sa.String(length=64), nullable=False, comment="in whose name letters came"),
        sa.Column("day", sa.BigInteger(), nullable=False, comment="days since 1970 when one was logged last"),
        sa.Column("unlogged", sa.BigInteger(), nullable=False, comment="letters since then that were not logged"),
        sa.ForeignKeyConstraint(["party"], ["peers.party"], name=op.f("fk_failed_signatures_party_peers")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_failed_signatures")),
    )
