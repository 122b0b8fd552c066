"""What is printed of revocations and stops: since when, why, and what had gone out before."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape

from datasites.cli.output import console
from datasites.halts.halted import Halts
from datasites.halts.went_out import WentOut
from policies.people.stop import SignedStop


def halts_as_json(halts: Halts) -> dict[str, Any]:
    """A request's revocation and what went out of it, for programs."""
    return {
        "revocation": None if halts.revocation is None else halts.revocation.model_dump(mode="json"),
        "went_out": [asdict(it) for it in halts.went_out],
    }


def print_halts(halts: Halts) -> None:
    """The same for the owner; nothing where there is neither."""
    if halts.revocation is not None:
        sentence = f"Revoked at {_time(halts.revocation.revoked_at)}: {halts.revocation.reason}"
        console.print(f"[bold red]✗[/] {escape(sentence)}", soft_wrap=True)
    print_went_out(halts.went_out)


def print_went_out(went_out: Sequence[WentOut]) -> None:
    """What was handed to the mail, to whom and when."""
    for it in went_out:
        sentence = f"Went out at {_time(it.at)}: {it.what}, to {it.recipient}."
        console.print(escape(sentence), soft_wrap=True)


def print_stop(signed: SignedStop | None) -> None:
    """That the site is stopped, if it is."""
    if signed is not None:
        sentence = (
            f"The site is stopped since {_time(signed.stop.stopped_at)}: {signed.stop.reason} "
            "Nothing is approved, charged, run or released until «datasite resume»."
        )
        console.print(f"[bold red]■[/] {escape(sentence)}", soft_wrap=True)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
