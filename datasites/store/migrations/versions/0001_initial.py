"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_entries",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False, comment="from 0, without holes"),
        sa.Column("entry", sa.LargeBinary(), nullable=False, comment="canonical JSON"),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False, comment="RFC 6962"),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_log_entries")),
    )
    op.create_table(
        "peers",
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("pinned_at", sa.BigInteger(), nullable=False),
        sa.Column("outgoing", sa.BigInteger(), nullable=False, comment="number of the last message written to it"),
        sa.Column("incoming", sa.BigInteger(), nullable=False, comment="number of the last message taken from it"),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_peers")),
        sa.UniqueConstraint("name", name=op.f("uq_peers_name")),
    )
    op.create_table(
        "populations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("epsilon", sa.Double(), nullable=False),
        sa.Column("delta", sa.Double(), nullable=False),
        sa.Column(
            "filter_order", sa.Integer(), nullable=False, comment="Rényi order, fixed for the population's lifetime"
        ),
        sa.Column("allowance_units", sa.BigInteger(), nullable=False, comment="what each partition may spend, ever"),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("allowance_units > 0", name=op.f("ck_populations_allowance")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_populations")),
    )
    op.create_table(
        "recoveries",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("statement", sa.Text(), nullable=False, comment="signed by the owner"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recoveries")),
    )
    op.create_table(
        "data_sets",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("population", sa.String(length=64), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("snapshot_commitment", sa.String(length=64), nullable=False),
        sa.Column("snapshot_file", sa.Text(), nullable=False),
        sa.Column("mock", sa.Text(), nullable=False, comment="CSV drawn from the manifest alone"),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["population"], ["populations.id"], name=op.f("fk_data_sets_population_populations")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_data_sets")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("recipient", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column(
            "content_file",
            sa.String(length=64),
            nullable=True,
            comment="what the relay must have before the message goes",
        ),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["recipient"], ["peers.party"], name=op.f("fk_outbox_recipient_peers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("recipient", "number", name=op.f("uq_outbox_recipient_number")),
    )
    op.create_table(
        "reservations",
        sa.Column("request", sa.String(length=64), nullable=False, comment="the digest of the request"),
        sa.Column("population", sa.String(length=64), nullable=False),
        sa.Column("training_units", sa.BigInteger(), nullable=False),
        sa.Column("evaluation_units", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "lost",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="closed by a recovery: all of it counts as spent",
        ),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_reservations_state")),
        sa.CheckConstraint("training_units >= 0 AND evaluation_units >= 0", name=op.f("ck_reservations_units")),
        sa.ForeignKeyConstraint(
            ["population"], ["populations.id"], name=op.f("fk_reservations_population_populations")
        ),
        sa.PrimaryKeyConstraint("request", name=op.f("pk_reservations")),
    )
    op.create_index(op.f("ix_reservations_population"), "reservations", ["population"], unique=False)
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
        "unit_fingerprints",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("population", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["population"], ["populations.id"], name=op.f("fk_unit_fingerprints_population_populations")
        ),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_unit_fingerprints")),
    )
    op.create_index(op.f("ix_unit_fingerprints_population"), "unit_fingerprints", ["population"], unique=False)
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
        "charges",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="1, 2, 3, …: covered by the hash"),
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("partition", sa.String(length=10), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("mechanism", sa.Text(), nullable=False, comment="canonical JSON"),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("charged_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "previous_hash", sa.String(length=64), nullable=False, comment="unique, so that the chain cannot fork"
        ),
        sa.Column("row_hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("partition IN ('training', 'evaluation')", name=op.f("ck_charges_partition")),
        sa.CheckConstraint("units > 0 AND attempt >= 1", name=op.f("ck_charges_units")),
        sa.ForeignKeyConstraint(["request"], ["reservations.request"], name=op.f("fk_charges_request_reservations")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charges")),
        sa.UniqueConstraint("previous_hash", name=op.f("uq_charges_previous_hash")),
        sa.UniqueConstraint(
            "request", "partition", "step", "attempt", name=op.f("uq_charges_request_partition_step_attempt")
        ),
    )
    op.create_table(
        "requests",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="the digest of the terms"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(length=32), nullable=False),
        sa.Column("sender", sa.String(length=64), nullable=False),
        sa.Column("data_set", sa.String(length=63), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("loss_program", sa.Text(), nullable=False),
        sa.Column("metrics_program", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "parameters_file",
            sa.String(length=64),
            nullable=True,
            comment="content file, until the request ends unfinished",
        ),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["data_set"], ["data_sets.name"], name=op.f("fk_requests_data_set_data_sets")),
        sa.ForeignKeyConstraint(["sender"], ["peers.party"], name=op.f("fk_requests_sender_peers")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_requests")),
        sa.UniqueConstraint("number", name=op.f("uq_requests_number")),
        sa.UniqueConstraint("sender", "study", name=op.f("uq_requests_sender_study")),
    )
    op.create_table(
        "runs",
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("advertisement", sa.Text(), nullable=False),
        sa.Column("roster", sa.Text(), nullable=True, comment="null until the coordinator's roster was verified"),
        sa.ForeignKeyConstraint(["request"], ["requests.digest"], name=op.f("fk_runs_request_requests")),
        sa.PrimaryKeyConstraint("request", name=op.f("pk_runs")),
        sa.UniqueConstraint("request", "run", name=op.f("uq_runs_request_run")),
    )
    op.create_table(
        "mask_keys",
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["request"], ["runs.request"], name=op.f("fk_mask_keys_request_runs")),
        sa.PrimaryKeyConstraint("request", "round", name=op.f("pk_mask_keys")),
    )
    op.create_table(
        "rounds",
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="asked, charged, computed or burned"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="from 1; one more after a stop in the middle"),
        sa.Column(
            "turn",
            sa.Integer(),
            nullable=False,
            comment="rounds of all studies are computed in the order they were asked",
        ),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column(
            "model_file",
            sa.String(length=64),
            nullable=True,
            comment="content file with the global model, until computed",
        ),
        sa.Column("message", sa.Text(), nullable=True, comment="the one answer, kept so that it can be sent again"),
        sa.Column(
            "update_file",
            sa.String(length=64),
            nullable=True,
            comment="content file with the masked update, if it is large",
        ),
        sa.Column(
            "commitment",
            sa.String(length=64),
            nullable=True,
            comment="keyed, to the masked vector; as the log names it",
        ),
        sa.Column(
            "awaited_size", sa.BigInteger(), nullable=True, comment="log size to be witnessed before the answer may go"
        ),
        sa.ForeignKeyConstraint(
            ["request", "run"], ["runs.request", "runs.run"], name=op.f("fk_rounds_request_run_runs")
        ),
        sa.ForeignKeyConstraint(["request"], ["runs.request"], name=op.f("fk_rounds_request_runs")),
        sa.PrimaryKeyConstraint("request", "round", name=op.f("pk_rounds")),
    )


def downgrade() -> None:
    op.drop_table("rounds")
    op.drop_table("mask_keys")
    op.drop_table("runs")
    op.drop_table("requests")
    op.drop_table("charges")
    op.drop_table("witnesses")
    op.drop_table("witnessed")
    op.drop_index(op.f("ix_unit_fingerprints_population"), table_name="unit_fingerprints")
    op.drop_table("unit_fingerprints")
    op.drop_table("set_backs")
    op.drop_index(op.f("ix_reservations_population"), table_name="reservations")
    op.drop_table("reservations")
    op.drop_table("outbox")
    op.drop_table("data_sets")
    op.drop_table("recoveries")
    op.drop_table("populations")
    op.drop_table("peers")
    op.drop_table("log_entries")
