"""The table of what was asked on requests, and answered."""

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from policies.database import metadata

questions = Table(
    "questions",
    metadata,
    Column("request", String(64), primary_key=True, comment="the digest of a study's or a job's terms"),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="on this request, from 1"),
    Column("signed", Text, nullable=False, comment="the question, signed by the person who asked"),
    Column("answer", Text, nullable=True, comment="the researcher's, as it was received"),
    Column("answered_at", BigInteger, nullable=True),
)
