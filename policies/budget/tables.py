"""The ledger's tables: lifetime budgets, what requests have reserved of them, and every charge, chained by hash."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from policies.database import metadata

populations = Table(
    "populations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("epsilon", Double, nullable=False),
    Column("delta", Double, nullable=False),
    Column("filter_order", Integer, nullable=False, comment="Rényi order, fixed for the population's lifetime"),
    Column("allowance_units", BigInteger, nullable=False, comment="what each partition may spend, ever"),
    Column("opened_at", BigInteger, nullable=False),
    CheckConstraint("allowance_units > 0", name="allowance"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("request", String(64), primary_key=True, comment="the digest of the request"),
    Column("population", String(64), ForeignKey("populations.id"), nullable=False, index=True),
    Column("training_units", BigInteger, nullable=False),
    Column("evaluation_units", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=True),
    Column(
        "lost",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="closed by a recovery: all of it counts as spent",
    ),
    CheckConstraint("training_units >= 0 AND evaluation_units >= 0", name="units"),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
)

charges = Table(
    "charges",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="1, 2, 3, …: covered by the hash"),
    Column("request", String(64), ForeignKey("reservations.request"), nullable=False),
    Column("partition", String(10), nullable=False),
    Column("step", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("mechanism", Text, nullable=False, comment="canonical JSON"),
    Column("units", BigInteger, nullable=False),
    Column("charged_at", BigInteger, nullable=False),
    Column("previous_hash", String(64), nullable=False, unique=True, comment="unique, so that the chain cannot fork"),
    Column("row_hash", String(64), nullable=False),
    UniqueConstraint("request", "partition", "step", "attempt"),
    CheckConstraint("units > 0 AND attempt >= 1", name="units"),
    CheckConstraint("partition IN ('training', 'evaluation')", name="partition"),
)
