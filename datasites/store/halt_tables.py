"""The tables of what people took back or stopped: signed statements, which no status in another row can outvote."""

from sqlalchemy import Column, Integer, String, Table, Text

from policies.database import metadata

revocations = Table(
    "revocations",
    metadata,
    Column("request", String(64), primary_key=True, comment="a study's or a job's; none of it goes on"),
    Column("statement", Text, nullable=False, comment="the signed revocation, as canonical JSON"),
)

stops = Table(
    "stops",
    metadata,
    Column("serial", Integer, primary_key=True, autoincrement=False, comment="from 1"),
    Column("statement", Text, nullable=False, comment="the signed stop, as canonical JSON"),
    Column("resumption", Text, nullable=True, comment="the signed word that ends this very stop"),
)
