"""One hospital of the demo: its folders, and the commands that its owner types."""

import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.commands import COMMAND, datasite, start

LIFETIME_EPSILON = 10


@dataclass(frozen=True)
class Site:
    """A hospital's datasite; `folder` holds its table and manifest, its datasite's home and its owner's own folder."""

    name: str
    folder: Path

    @property
    def home(self) -> Path:
        """The datasite's folder."""
        return self.folder / "datasite"

    @property
    def card(self) -> Path:
        """The public card."""
        return self.home / "card.json"

    @property
    def bundle(self) -> Path:
        """Where the log is exported to."""
        return self.folder / "log-bundle"

    def init(self, relay: str) -> Any:
        """Make the datasite, with a fresh passphrase for the owner's key."""
        passphrase = self.folder / "passphrase"
        passphrase.write_text(secrets.token_urlsafe(24))
        passphrase.chmod(0o600)
        return datasite(
            "init", "--name", self.name, "--relay", relay, "--contact", f"data-office@{self.name}.example",
            *self._home, *self._owner,
        )  # fmt: skip

    def register(self) -> Any:
        """Register the hospital's table."""
        manifest, table = self.folder / "manifest.toml", self.folder / "patients.csv"
        return datasite("data", "add", manifest, table, "--epsilon", str(LIFETIME_EPSILON), *self._home)

    def pin(self, fingerprints: Mapping[Path, str]) -> None:
        """Pin other parties' cards, whose fingerprints were read aloud."""
        heard = [word for fingerprint in fingerprints.values() for word in ("--fingerprint", fingerprint)]
        datasite("peers", "add", *fingerprints, *heard, *self._home)

    def serve(self, command: tuple[str, ...] = COMMAND) -> subprocess.Popen[bytes]:
        """Start the service."""
        return start("serve", *self._home, log=self.folder / "serve.log", command=command)

    def show(self, number: int) -> Any:
        """What the owner is shown of a request."""
        return datasite("show", str(number), *self._home)

    def approve(self, digest: str) -> Any:
        """Approve what was shown."""
        return datasite("approve", digest, *self._home, *self._owner)

    def deny(self, number: int, reason: str) -> Any:
        """Deny a request."""
        return datasite("deny", str(number), "--reason", reason, *self._home, *self._owner)

    def recover(self) -> Any:
        """Go on after the disk was set back."""
        return datasite("recover", *self._home, *self._owner)

    def budget(self) -> Any:
        """The budget of the one population."""
        (population,) = datasite("budget", *self._home)
        return population

    def export_and_verify(self, witnesses: Sequence[Path] = ()) -> Any:
        """Export the log, and verify it as an auditor with the site's card, and those of `witnesses`, would."""
        datasite("log", "export", self.bundle, *self._home)
        cards = [word for card in witnesses for word in ("--witness", card)]
        return datasite("verify", self.bundle, "--card", self.card, *cards)

    def prove_round(self, number: int, round_number: int, cards: Sequence[Path]) -> Any:
        """Write a receipt on one round of a request, and check it with the other parties' cards."""
        receipt = self.folder / f"receipt-{number}-{round_number}"
        datasite("receipt", str(number), receipt, "--round", str(round_number), *self._home)
        others = [word for card in cards for word in ("--witness", card)]
        return datasite("verify-receipt", receipt, "--card", self.card, *others)

    @property
    def _home(self) -> tuple[str, str]:
        return "--home", str(self.home)

    @property
    def _owner(self) -> tuple[str, ...]:
        return "--key-folder", str(self.folder / "owner"), "--passphrase-file", str(self.folder / "passphrase")
