"""What must survive of a PySyft session: whose address is whose, every submitted job, and mail not yet acted on."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from datasites.protocol.job_messages import JobMessageToResearcher, JobStatus
from datasites.protocol.messages import parse_message
from policies.errors import ConflictError, InvalidInputError
from policies.jobs.decision import JobDecision, SignedJobDecisions
from policies.jobs.terms import JobTerms
from researcher.state import State

Standing = Literal["pinned", "asked", "accepted"]
"""How far the acquaintance with a site has come: its card is pinned, it was asked, its owner accepted."""


@dataclass(frozen=True)
class Address:
    """A pinned site under the address that this researcher chose for it; `packages` are `name==version`."""

    address: str
    site: str
    standing: Standing
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A job as this researcher submitted it, and what its site has said of it; `status` is None before any word."""

    terms: JobTerms
    status: str | None
    detail: str
    decision: JobDecision | None
    outputs_attempt: int


@dataclass(frozen=True)
class Mail:
    """A message of a pinned site that waits to be acted on."""

    number: int
    site: str
    message: JobMessageToResearcher


def claim_account(state: State, email: str) -> None:
    """Hold the folder for the researcher with this e-mail address.

    Raises:
        ConflictError: it is another researcher's.
    """
    with state.transaction() as connection:
        connection.execute("INSERT OR IGNORE INTO account VALUES (1, ?)", (email,))
        held = connection.execute("SELECT email FROM account").fetchone()["email"]
    if held != email:
        raise ConflictError(f"This folder belongs to {held}, not {email}; use one folder for each address.")


def bind_address(state: State, address: str, site: str) -> None:
    """Let a pinned site stand under `address`, for good.

    Raises:
        ConflictError: the address, or the site, is bound otherwise.
    """
    with state.transaction() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO addresses (address, site, standing) VALUES (?, ?, 'pinned')", (address, site)
        )
        bound = connection.execute("SELECT 1 FROM addresses WHERE address = ? AND site = ?", (address, site)).fetchone()
    if bound is None:
        raise ConflictError(f"{address} stands for another site here, or this site has another address.")


def addresses(state: State) -> dict[str, Address]:
    """Every bound address, by itself, in order."""
    with state.transaction() as connection:
        rows = connection.execute("SELECT * FROM addresses ORDER BY address").fetchall()
    return {row["address"]: _address(row) for row in rows}


def address_of(state: State, site: str) -> Address | None:
    """The address that stands for this site, if one does."""
    return next((it for it in addresses(state).values() if it.site == site), None)


def set_standing(state: State, site: str, standing: Standing, packages: Sequence[str] | None = None) -> None:
    """Write down how far the acquaintance with a site has come and, where given, what it offers to jobs."""
    with state.transaction() as connection:
        connection.execute("UPDATE addresses SET standing = ? WHERE site = ?", (standing, site))
        if packages is not None:
            connection.execute("UPDATE addresses SET packages = ? WHERE site = ?", (json.dumps(packages), site))


def add_job(state: State, terms: JobTerms, code: bytes) -> None:
    """Keep a new job and its code, before anything is sent."""
    with state.transaction() as connection:
        connection.execute(
            "INSERT INTO jobs (job, site, terms, unsent_code) VALUES (?, ?, ?, ?)",
            (terms.job, terms.site, terms.canonical().decode(), code),
        )


def unsent_jobs(state: State) -> list[tuple[JobTerms, bytes]]:
    """The jobs that no relay has taken yet, with their code."""
    with state.transaction() as connection:
        rows = connection.execute(
            "SELECT terms, unsent_code FROM jobs WHERE unsent_code IS NOT NULL ORDER BY rowid"
        ).fetchall()
    return [(JobTerms.model_validate_json(row["terms"]), row["unsent_code"]) for row in rows]


def mark_sent(state: State, job: str) -> None:
    """Write down that the relay has taken a job."""
    with state.transaction() as connection:
        connection.execute("UPDATE jobs SET unsent_code = NULL WHERE job = ?", (job,))


def find_job(state: State, job: str, site: str) -> Job | None:
    """The job of this identifier that was submitted to `site`, if one was."""
    with state.transaction() as connection:
        row = connection.execute("SELECT * FROM jobs WHERE job = ? AND site = ?", (job, site)).fetchone()
    return None if row is None else _job(row)


def all_jobs(state: State) -> list[Job]:
    """Every submitted job, oldest first."""
    with state.transaction() as connection:
        rows = connection.execute("SELECT * FROM jobs ORDER BY rowid").fetchall()
    return [_job(row) for row in rows]


def set_status(state: State, message: JobStatus) -> None:
    """Write down what a job's site said of it; a decision once known is kept until there is a newer one."""
    decision = None if message.decision is None else message.decision.canonical().decode()
    with state.transaction() as connection:
        connection.execute(
            "UPDATE jobs SET status = ?, detail = ?, decision = COALESCE(?, decision) WHERE job = ?",
            (message.status, message.detail, decision, message.job),
        )


def set_outputs(state: State, job: str, attempt: int) -> None:
    """Write down that the outputs of this attempt lie in the box."""
    with state.transaction() as connection:
        connection.execute("UPDATE jobs SET outputs_attempt = ? WHERE job = ?", (attempt, job))


def keep_mail(connection: sqlite3.Connection, site: str, message: JobMessageToResearcher, *, most: int) -> None:
    """Keep a message until it is acted on, in the transaction that takes its number; of a site the newest `most`."""
    connection.execute("INSERT INTO job_mail (site, message) VALUES (?, ?)", (site, message.canonical().decode()))
    connection.execute(
        "DELETE FROM job_mail WHERE site = ? AND number NOT IN "
        "(SELECT number FROM job_mail WHERE site = ? ORDER BY number DESC LIMIT ?)",
        (site, site, most),
    )


def waiting_mail(state: State) -> Iterator[Mail]:
    """The messages that wait, in the order in which they came, one in memory at a time."""
    with state.transaction() as connection:
        numbers = [row["number"] for row in connection.execute("SELECT number FROM job_mail ORDER BY number")]
    for number in numbers:
        with state.transaction() as connection:
            row = connection.execute("SELECT * FROM job_mail WHERE number = ?", (number,)).fetchone()
        if row is not None:
            yield Mail(number, row["site"], _message(row["message"]))


def drop_mail(state: State, number: int) -> None:
    """Forget a message that was acted on."""
    with state.transaction() as connection:
        connection.execute("DELETE FROM job_mail WHERE number = ?", (number,))


def _address(row: sqlite3.Row) -> Address:
    standing = next(it for it in get_args(Standing) if it == row["standing"])
    return Address(row["address"], row["site"], standing, tuple(json.loads(row["packages"])))


def _job(row: sqlite3.Row) -> Job:
    decision = None if row["decision"] is None else SignedJobDecisions.model_validate_json(row["decision"]).decision
    return Job(
        JobTerms.model_validate_json(row["terms"]), row["status"], row["detail"], decision, row["outputs_attempt"]
    )


def _message(text: str) -> JobMessageToResearcher:
    message = parse_message(text.encode())
    if not isinstance(message, JobMessageToResearcher):
        raise InvalidInputError("The state file holds a message of another kind than expected; restore it.")
    return message
