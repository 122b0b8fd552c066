"""Questions on requests, and their answers."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "questions",
        sa.Column("request", sa.String(length=64), nullable=False, comment="the digest of a study's or a job's terms"),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False, comment="on this request, from 1"),
        sa.Column("signed", sa.Text(), nullable=False, comment="the question, signed by the person who asked"),
        sa.Column("answer", sa.Text(), nullable=True, comment="the researcher's, as it was received"),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("request", "number", name=op.f("pk_questions")),
    )
