"""The tables of what others sign on this site's log and rounds, and of what is found out about theirs."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text

from policies.database import metadata

cosignatures = Table(
    "cosignatures",
    metadata,
    Column("party", String(64), ForeignKey("peers.party"), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("checkpoint", Text, nullable=False, comment="the newest of this site's log that the party cosigned"),
)

sightings = Table(
    "sightings",
    metadata,
    Column("party", String(64), ForeignKey("peers.party"), primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column(
        "checkpoint", Text, nullable=False, comment="of that party's log, as kept here or as somebody else keeps it"
    ),
    Column(
        "proved", Integer, nullable=False, comment="1 if what is kept here continues it, 0 if that is not shown yet"
    ),
)

two_histories = Table(
    "two_histories",
    metadata,
    Column("party", String(64), ForeignKey("peers.party"), primary_key=True),
    Column("first", Text, nullable=False, comment="two checkpoints of one size that its log key signed"),
    Column("second", Text, nullable=False),
    Column("noticed_at", BigInteger, nullable=False),
)

sums = Table(
    "sums",
    metadata,
    Column("request", String(64), ForeignKey("requests.digest"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("opened", Text, nullable=True, comment="the researcher's signed word that holds this site's vector once"),
    Column("disputed", Text, nullable=True, comment="the first signed word by the same on anything else"),
)

failed_signatures = Table(
    "failed_signatures",
    metadata,
    Column("party", String(64), ForeignKey("peers.party"), primary_key=True, comment="in whose name letters came"),
    Column("day", BigInteger, nullable=False, comment="days since 1970 when one was logged last"),
    Column("unlogged", BigInteger, nullable=False, comment="letters since then that were not logged"),
)
