"""Jobs, the sets of files that they may see, and accepted addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column(
            "requested",
            sa.String(length=200),
            nullable=True,
            comment="the address that the party asked to be shown under",
        ),
        sa.Column("accepted", sa.String(length=200), nullable=True, comment="the address that the owner accepted"),
        sa.ForeignKeyConstraint(["party"], ["peers.party"], name=op.f("fk_contacts_party_peers")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_contacts")),
        sa.UniqueConstraint("accepted", name=op.f("uq_contacts_accepted")),
    )
    op.create_table(
        "file_sets",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column(
            "card",
            sa.Text(),
            nullable=False,
            comment="summary, readme, tags, mock and private files, as canonical JSON",
        ),
        sa.Column(
            "commitment",
            sa.String(length=64),
            nullable=False,
            comment="keyed, to the private files; as decisions name it",
        ),
        sa.Column("mock_file", sa.String(length=64), nullable=False, comment="content file with the mock files' bytes"),
        sa.Column("population", sa.String(length=64), nullable=True),
        sa.Column(
            "shared_with_all", sa.Integer(), nullable=False, comment="1 if every pinned researcher may see it, else 0"
        ),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["population"], ["populations.id"], name=op.f("fk_file_sets_population_populations")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_file_sets")),
    )
    op.create_table(
        "file_set_shares",
        sa.Column("file_set", sa.String(length=63), nullable=False),
        sa.Column("contact", sa.String(length=200), nullable=False, comment="the accepted address of who may see it"),
        sa.ForeignKeyConstraint(["file_set"], ["file_sets.name"], name=op.f("fk_file_set_shares_file_set_file_sets")),
        sa.PrimaryKeyConstraint("file_set", "contact", name=op.f("pk_file_set_shares")),
    )
    op.create_table(
        "second_exports",
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column(
            "result", sa.String(length=16), nullable=False, comment="agrees, differs or failed: source against programs"
        ),
        sa.Column("error", sa.String(length=100), nullable=False, comment="the class of the error, if it failed"),
        sa.ForeignKeyConstraint(["request"], ["requests.digest"], name=op.f("fk_second_exports_request_requests")),
        sa.PrimaryKeyConstraint("request", name=op.f("pk_second_exports")),
    )
    op.create_table(
        "jobs",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="the digest of the terms"),
        sa.Column("number", sa.Integer(), nullable=False, comment="counted together with the requests'"),
        sa.Column("job", sa.String(length=32), nullable=False),
        sa.Column("sender", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column(
            "code_file", sa.String(length=64), nullable=True, comment="content file, until nothing can run any more"
        ),
        sa.Column("dry_run", sa.Text(), nullable=True, comment="what the run on mock data showed, as canonical JSON"),
        sa.Column("decision", sa.Text(), nullable=True, comment="the newest, signed by the owner"),
        sa.Column(
            "approved_at",
            sa.BigInteger(),
            nullable=True,
            comment="milliseconds since 1970; the end's telling counts from it",
        ),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="executions begun so far"),
        sa.Column("run", sa.Text(), nullable=True, comment="how the newest execution ended, as canonical JSON"),
        sa.Column("outputs_file", sa.String(length=64), nullable=True, comment="content file with the outputs' bytes"),
        sa.Column("findings", sa.Text(), nullable=True, comment="what the inspection found, as canonical JSON"),
        sa.Column("findings_seal", sa.String(length=64), nullable=True, comment="keyed, to the findings and their run"),
        sa.Column("release", sa.Text(), nullable=True, comment="the owner's signed word on the outputs"),
        sa.Column(
            "tell_at", sa.BigInteger(), nullable=True, comment="milliseconds since 1970; the researcher is told then"
        ),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["sender"], ["peers.party"], name=op.f("fk_jobs_sender_peers")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_jobs")),
        sa.UniqueConstraint("number", name=op.f("uq_jobs_number")),
        sa.UniqueConstraint("sender", "job", name=op.f("uq_jobs_sender_job")),
        sa.UniqueConstraint("sender", "name", name=op.f("uq_jobs_sender_name")),
    )
