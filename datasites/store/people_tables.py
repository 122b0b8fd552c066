"""The tables of a site's people, and of their approvals that wait for another person's."""

from sqlalchemy import Column, Integer, String, Table, Text, UniqueConstraint

from policies.database import metadata

people = Table(
    "people",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True, comment="in the order of the appointments"),
    Column("key", String(64), nullable=False, unique=True),
    Column("appointment", Text, nullable=False, comment="signed by the owner"),
    Column("dismissal", Text, nullable=True, comment="signed by the owner, once the person has no role any more"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True, comment="in the order of the signatures"),
    Column("request", String(64), nullable=False, index=True, comment="a study's or a job's"),
    Column("subject", String(64), nullable=False, comment="the digest of what was signed"),
    Column("signer", String(64), nullable=False),
    Column("statement", Text, nullable=False, comment="signed; it waits until enough people signed the same"),
    UniqueConstraint("subject", "signer"),
)
