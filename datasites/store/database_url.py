"""The URL of a datasite's PostgreSQL database: it stands in a file that people show, so it carries no secret."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from policies.statements.schema import PLAIN_TEXT

_DRIVER = "postgresql+psycopg"
_SECRETS = frozenset({"password", "sslpassword"})


def _checked(text: str) -> str:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername != _DRIVER or not (url.database or "service" in url.query):
        raise ValueError(f"write it as {_DRIVER}://user@host/database, or {_DRIVER}://?service=name")
    if url.password is not None or _SECRETS & {name.lower() for name in url.query}:
        raise ValueError("leave the password out; keep it in a file that PGPASSFILE names, or let the server know you")
    return text


DatabaseUrl = Annotated[str, StringConstraints(max_length=500, pattern=PLAIN_TEXT), AfterValidator(_checked)]
"""Names a PostgreSQL database, and how to reach it, without a password."""
