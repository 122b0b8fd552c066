"""How often the check of a request's programs was begun, so that it is not tried for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "of its programs that were begun"
    op.add_column("requests", sa.Column("checks", sa.Integer(), nullable=False, server_default="0", comment=comment))
