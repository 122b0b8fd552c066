"""People with a role at the site, and approvals that wait for another person's."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COMMENTS = {
    "decision": "the newest, signed by those who took it",
    "release": "the word on the outputs, signed by those who decided",
}


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column(
            "number", sa.Integer(), autoincrement=True, nullable=False, comment="in the order of the appointments"
        ),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("appointment", sa.Text(), nullable=False, comment="signed by the owner"),
        sa.Column(
            "dismissal", sa.Text(), nullable=True, comment="signed by the owner, once the person has no role any more"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_people")),
        sa.UniqueConstraint("key", name=op.f("uq_people_key")),
    )
    op.create_table(
        "approvals",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False, comment="in the order of the signatures"),
        sa.Column("request", sa.String(length=64), nullable=False, comment="a study's or a job's"),
        sa.Column("subject", sa.String(length=64), nullable=False, comment="the digest of what was signed"),
        sa.Column("signer", sa.String(length=64), nullable=False),
        sa.Column(
            "statement", sa.Text(), nullable=False, comment="signed; it waits until enough people signed the same"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_approvals")),
        sa.UniqueConstraint("subject", "signer", name=op.f("uq_approvals_subject_signer")),
    )
    op.create_index(op.f("ix_approvals_request"), "approvals", ["request"], unique=False)
    if op.get_bind().dialect.supports_comments:
        for column, comment in _COMMENTS.items():
            op.alter_column("jobs", column, comment=comment)


def downgrade() -> None:
    op.drop_index(op.f("ix_approvals_request"), table_name="approvals")
    op.drop_table("approvals")
    op.drop_table("people")
