"""The table of the house rules that the owner has adopted, one row an adoption."""

from sqlalchemy import Column, Integer, String, Table, Text

from policies.database import metadata

adopted_rules = Table(
    "adopted_rules",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False, comment="1, 2, 3, …: the last one holds"),
    Column("digest", String(64), nullable=False, unique=True, comment="by which decisions name it"),
    Column("statement", Text, nullable=False, comment="signed by the owner"),
)
