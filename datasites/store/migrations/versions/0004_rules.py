"""Adopted house rules, approvals by the rules, and the latest moment that the log names."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adopted_rules",
        sa.Column(
            "number", sa.Integer(), autoincrement=False, nullable=False, comment="1, 2, 3, …: the last one holds"
        ),
        sa.Column("digest", sa.String(length=64), nullable=False, comment="by which decisions name it"),
        sa.Column("statement", sa.Text(), nullable=False, comment="signed by the owner"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_adopted_rules")),
        sa.UniqueConstraint("digest", name=op.f("uq_adopted_rules_digest")),
    )
    op.add_column(
        "requests",
        sa.Column(
            "ground",
            sa.Text(),
            nullable=True,
            comment="instead of a decision, where the house rules approved",
        ),
    )
    comment = "the latest moment that an entry up to this one names"
    op.add_column("log_entries", sa.Column("latest", sa.BigInteger(), nullable=True, comment=comment))
    _date_entries()
    with op.batch_alter_table("log_entries") as table:
        table.alter_column("latest", existing_type=sa.BigInteger(), existing_comment=comment, nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("log_entries") as table:
        table.drop_column("latest")
    with op.batch_alter_table("requests") as table:
        table.drop_column("ground")
    op.drop_table("adopted_rules")


def _date_entries() -> None:
    entries = sa.table("log_entries", sa.column("position"), sa.column("entry"), sa.column("latest"))
    connection, latest = op.get_bind(), 0
    for row in connection.execute(sa.select(entries.c.position, entries.c.entry).order_by(entries.c.position)).all():
        latest = max(latest, json.loads(bytes(row.entry))["at"])
        connection.execute(sa.update(entries).where(entries.c.position == row.position).values(latest=latest))
