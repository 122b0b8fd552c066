"""The table of the parts of parameter files that are kept, so that their researcher need not send them again."""

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table

from policies.database import metadata

weights = Table(
    "weights",
    metadata,
    Column("sender", String(64), ForeignKey("peers.party"), primary_key=True, comment="who sent it: no other is told"),
    Column("part", String(64), primary_key=True, comment="the digest of its bytes"),
    Column("file", String(64), nullable=False, comment="the content file that it lies in, a study's parameter file"),
    Column("file_bytes", BigInteger, nullable=False, comment="of that whole file"),
    Column("start", BigInteger, nullable=False, comment="where in the file it begins"),
    Column("size", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False, comment="when a study that has it last came"),
)
