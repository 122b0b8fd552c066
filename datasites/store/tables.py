"""The datasite's tables; the ledger's and the log's own tables stand beside them on the same metadata."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from datasites.store.halt_tables import revocations, stops
from datasites.store.job_tables import contacts, file_set_shares, file_sets, jobs, second_exports
from datasites.store.people_tables import approvals, people
from datasites.store.question_tables import questions
from datasites.store.rules_tables import adopted_rules
from datasites.store.weights_table import weights
from datasites.store.witness_tables import cosignatures, failed_signatures, sightings, sums, two_histories
from policies.budget import tables as budget_tables
from policies.database import metadata
from policies.log import journal

__all__ = [
    "adopted_rules",
    "approvals",
    "budget_tables",
    "contacts",
    "cosignatures",
    "data_sets",
    "failed_signatures",
    "file_set_shares",
    "file_sets",
    "jobs",
    "journal",
    "mask_keys",
    "metadata",
    "outbox",
    "peers",
    "people",
    "questions",
    "recoveries",
    "requests",
    "revocations",
    "rounds",
    "runs",
    "second_exports",
    "set_backs",
    "sightings",
    "stops",
    "sums",
    "two_histories",
    "unit_fingerprints",
    "weights",
    "witnessed",
    "witnesses",
]

peers = Table(
    "peers",
    metadata,
    Column("party", String(64), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("card", Text, nullable=False),
    Column("pinned_at", BigInteger, nullable=False),
    Column("outgoing", BigInteger, nullable=False, default=0, comment="number of the last message written to it"),
    Column("incoming", BigInteger, nullable=False, default=0, comment="number of the last message taken from it"),
)

data_sets = Table(
    "data_sets",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("population", String(64), ForeignKey("populations.id"), nullable=False),
    Column("manifest", Text, nullable=False),
    Column("snapshot_commitment", String(64), nullable=False),
    Column("snapshot_file", Text, nullable=False),
    Column("mock", Text, nullable=False, comment="CSV drawn from the manifest alone"),
    Column("registered_at", BigInteger, nullable=False),
)

unit_fingerprints = Table(
    "unit_fingerprints",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("population", String(64), ForeignKey("populations.id"), nullable=False, index=True),
)

requests = Table(
    "requests",
    metadata,
    Column("digest", String(64), primary_key=True, comment="the digest of the terms"),
    Column("number", Integer, nullable=False, unique=True),
    Column("study", String(32), nullable=False),
    Column("sender", String(64), ForeignKey("peers.party"), nullable=False),
    Column("data_set", String(63), ForeignKey("data_sets.name"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("checks", Integer, nullable=False, server_default="0", comment="of its programs that were begun"),
    Column("terms", Text, nullable=False),
    Column("loss_program", Text, nullable=False),
    Column("metrics_program", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("parameters_file", String(64), nullable=True, comment="content file, until the request ends unfinished"),
    Column("tokeniser_file", String(64), nullable=True, comment="the same, of a study on texts"),
    Column("decision", Text, nullable=True),
    Column("ground", Text, nullable=True, comment="instead of a decision, where the house rules approved"),
    Column("received_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    UniqueConstraint("sender", "study"),
)

runs = Table(
    "runs",
    metadata,
    Column("request", String(64), ForeignKey("requests.digest"), primary_key=True),
    Column("run", String(32), nullable=False),
    Column("advertisement", Text, nullable=False),
    Column("roster", Text, nullable=True, comment="null until the coordinator's roster was verified"),
    UniqueConstraint("request", "run"),
)

mask_keys = Table(
    "mask_keys",
    metadata,
    Column("request", String(64), ForeignKey("runs.request"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("private_key", LargeBinary, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("request", String(64), ForeignKey("runs.request"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("run", String(32), nullable=False),
    Column("state", String(16), nullable=False, comment="asked, charged, computed or burned"),
    Column("attempt", Integer, nullable=False, comment="from 1; one more after a stop in the middle"),
    Column("turn", Integer, nullable=False, comment="rounds of all studies are computed in the order they were asked"),
    Column("model_digest", String(64), nullable=False),
    Column("model_file", String(64), nullable=True, comment="content file with the global model, until computed"),
    Column("message", Text, nullable=True, comment="the one answer, kept so that it can be sent again"),
    Column("update_file", String(64), nullable=True, comment="content file with the masked update, if it is large"),
    Column("commitment", String(64), nullable=True, comment="keyed, to the masked vector; as the log names it"),
    Column("awaited_size", BigInteger, nullable=True, comment="log size to be witnessed before the answer may go"),
    ForeignKeyConstraint(["request", "run"], ["runs.request", "runs.run"]),
)

witnesses = Table(
    "witnesses",
    metadata,
    Column("party", String(64), ForeignKey("peers.party"), primary_key=True),
    Column("nonce", String(32), nullable=True, comment="of the newest question; no other answer counts"),
    Column("asked_size", BigInteger, nullable=False, comment="of this site's newest checkpoint sent there"),
    Column("asked_at", BigInteger, nullable=False),
    Column("kept_size", BigInteger, nullable=False, default=0, comment="of the newest it is known to keep"),
    Column(
        "held_size",
        BigInteger,
        nullable=False,
        default=0,
        comment="of the one it confirmed since it was asked anew; 0 if none",
    ),
    Column(
        "rival_size", BigInteger, nullable=True, comment="of one that it was shown by others and wants to see proved"
    ),
)

witnessed = Table(
    "witnessed",
    metadata,
    Column("party", String(64), ForeignKey("peers.party"), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("checkpoint", Text, nullable=False, comment="the newest of that party's log"),
    Column("balance", Text, nullable=False, comment="sealed by that party for itself"),
    Column("recovery", Text, nullable=True, comment="the newest by its owner"),
    Column("lost_size", BigInteger, nullable=True, comment="of the largest kept here that its owner gave up"),
)

set_backs = Table(
    "set_backs",
    metadata,
    Column("witness", String(64), ForeignKey("peers.party"), primary_key=True),
    Column("checkpoint", Text, nullable=False, comment="of this site's log, which the log does not continue"),
    Column(
        "balance",
        Text,
        nullable=False,
        comment="sealed by this site with that checkpoint",
    ),
    Column("noticed_at", BigInteger, nullable=False),
)

recoveries = Table(
    "recoveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("statement", Text, nullable=False, comment="signed by the owner"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("recipient", String(64), ForeignKey("peers.party"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("content_file", String(64), nullable=True, comment="what the relay must have before the message goes"),
    Column("written_at", BigInteger, nullable=False),
    UniqueConstraint("recipient", "number"),
)
