"""Studies on texts bring a tokeniser along."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    file = sa.Column("tokeniser_file", sa.String(length=64), nullable=True, comment="the same, of a study on texts")
    op.add_column("requests", file)
