"""`python -m policies.log FILE`: checks an exported log or a receipt offline; exit 0 sound, 1 broken, 2 unreadable."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from policies.errors import CloisterError, InvalidInputError
from policies.identity_card import MAXIMUM_CARD_BYTES, IdentityCard, parse_card
from policies.log.check_any import MAXIMUM_PROOF_BYTES, check_any
from policies.log.checkpoint import MAXIMUM_CHECKPOINT_BYTES
from policies.log.cosignature import Cosigner
from policies.log.verify import Pinned, Report


def main() -> int:
    """Read the arguments, verify, write the report; gives back the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m policies.log", description="Verify an exported datasite log, or a receipt, offline."
    )
    parser.add_argument("file", type=Path, help="the exported log or receipt")
    parser.add_argument("--card", type=Path, help="the site's identity card; instead of its two keys")
    parser.add_argument("--log-key", type=_public_key, help="the site's log key from its identity card, 64 hex digits")
    parser.add_argument("--owner-key", type=_public_key, help="the owner's key from the identity card, 64 hex digits")
    parser.add_argument(
        "--witness",
        action="append",
        default=[],
        help="a witness's identity card, or its key, 64 hex digits; repeatable",
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a checkpoint received elsewhere; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    arguments = parser.parse_args()
    try:
        report = check_any(_read(arguments.file, MAXIMUM_PROOF_BYTES), _pinned(arguments))
    except (CloisterError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(
        json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n" if arguments.json else _text(report)
    )
    return 1 if report.broken else 0


def _pinned(arguments: argparse.Namespace) -> Pinned:
    card = None if arguments.card is None else _card(arguments.card)
    if card is not None and not (card.log_key and card.owner_key):
        raise InvalidInputError("The card is not a datasite's: it names no log key and no owner's key.")
    return Pinned(
        log_key=arguments.log_key if card is None else bytes.fromhex(card.log_key or ""),
        owner_key=arguments.owner_key if card is None else bytes.fromhex(card.owner_key or ""),
        checkpoints=[_read(path, MAXIMUM_CHECKPOINT_BYTES) for path in arguments.checkpoint],
        witnesses=[_witness(it) for it in arguments.witness],
    )


def _witness(given: str) -> Cosigner:
    try:
        return Cosigner(given[:16] + "…", _public_key(given))
    except ValueError:
        return Cosigner.of(_card(Path(given)))


def _card(path: Path) -> IdentityCard:
    return parse_card(_read(path, MAXIMUM_CARD_BYTES))


def _public_key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != 32:
        raise ValueError("a public key has 32 bytes")
    return key


def _read(path: Path, maximum_bytes: int) -> bytes:
    """Read at most one byte more than is accepted, so that the reader refuses what is larger."""
    with path.open("rb") as file:
        return file.read(maximum_bytes + 1)


def _text(report: Report) -> str:
    places = ("the whole" if item.position is None else f"entry {item.position}" for item in report.broken)
    broken = [f"{place}: {item.reason}" for place, item in zip(places, report.broken, strict=True)]
    sections = (("BROKEN", broken), ("PROVED", report.proved), ("NOT PROVED", report.not_proved))
    return "\n".join(
        f"{title}\n" + "".join(f"  - {sentence}\n" for sentence in sentences)
        for title, sentences in sections
        if sentences
    )


if __name__ == "__main__":
    sys.exit(main())
