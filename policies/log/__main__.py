"""`python -m policies.log BUNDLE`: verifies an exported log offline; exit 0 sound, 1 broken, 2 not readable."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from policies.errors import CloisterError
from policies.log.bundle import MAXIMUM_BUNDLE_BYTES
from policies.log.checkpoint import MAXIMUM_CHECKPOINT_BYTES
from policies.log.verify import Pinned, Report, verify_bundle


def main() -> int:
    """Read the arguments, verify, write the report; gives back the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m policies.log", description="Verify an exported datasite log offline."
    )
    parser.add_argument("bundle", type=Path, help="the exported file")
    parser.add_argument("--log-key", type=_public_key, help="the site's log key from its identity card, 64 hex digits")
    parser.add_argument("--owner-key", type=_public_key, help="the owner's key from the identity card, 64 hex digits")
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a checkpoint received earlier; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    arguments = parser.parse_args()
    try:
        notes = tuple(_read(path, MAXIMUM_CHECKPOINT_BYTES) for path in arguments.checkpoint)
        pinned = Pinned(arguments.log_key, arguments.owner_key, notes)
        report = verify_bundle(_read(arguments.bundle, MAXIMUM_BUNDLE_BYTES), pinned)
    except (CloisterError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(
        json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n" if arguments.json else _text(report)
    )
    return 1 if report.broken else 0


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
    places = ("log" if item.position is None else f"entry {item.position}" for item in report.broken)
    broken = [f"{place}: {item.reason}" for place, item in zip(places, report.broken, strict=True)]
    sections = (("BROKEN", broken), ("PROVED", report.proved), ("NOT PROVED", report.not_proved))
    return "\n".join(
        f"{title}\n" + "".join(f"  - {sentence}\n" for sentence in sentences)
        for title, sentences in sections
        if sentences
    )


if __name__ == "__main__":
    sys.exit(main())
