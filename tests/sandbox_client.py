"""A sandbox for tests, at work as root or as an ordinary user: `Sandbox.run` does an errand there."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.ordinary_user import ROOT, USER
from tests.sandbox_server import SCRIPT

USERS = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)
"""As whom the sandbox can be tried here."""


@dataclass
class Sandbox:
    """A process that does errands, and a folder that its user may write to and nobody else may enter."""

    process: subprocess.Popen[str]
    folder: Path
    server: int
    zygote: int

    def asked(
        self,
        script: str,
        *,
        files: Mapping[str, bytes] | None = None,
        shown: Mapping[str, Path] | None = None,
        checked: Mapping[str, Path] | None = None,
        environment: Mapping[str, str] | None = None,
        packages: bool = False,
        cancel_after: float | None = None,
        **limits: float,
    ) -> dict[str, Any]:
        """An errand as the server is asked for it.

        `checked`: files to hand in as descriptors, instead of those that lie at the paths shown.
        """
        contents = {SCRIPT: script.encode(), **(files or {})}
        return {
            "files": {place: base64.b64encode(content).decode() for place, content in contents.items()},
            "shown": {place: str(path) for place, path in (shown or {}).items()},
            "checked": {place: str(path) for place, path in (checked or {}).items()},
            "environment": dict(environment or {}),
            "packages": packages,
            "cancel_after": cancel_after,
            "limits": limits,
        }

    def run(self, script: str, **options: Any) -> SimpleNamespace:
        """Do an errand, with the options of `asked`."""
        found = SimpleNamespace(**self._ask(self.asked(script, **options)))
        if found.refusal is None:
            found.contents = {name: base64.b64decode(content) for name, content in found.contents.items()}
        return found

    def keep(self, name: str, content: bytes) -> Path:
        """A file outside that its user alone may read."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(0o600)
        os.chown(path, self.folder.stat().st_uid, -1)
        return path

    def outside(self, script: str) -> str:
        """What the script prints as the same user outside the sandbox."""
        return str(self._ask({"script": script, "outside": True}))

    def _ask(self, asked: Mapping[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextmanager
def sandbox_of(user: str, *, by_bubblewrap: bool = False) -> Iterator[Sandbox]:
    """A sandbox whose datasite is `user`; `by_bubblewrap` as if its own namespaces had been found not to hold."""
    as_other = user == "ordinary" and os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        if as_other:
            os.chown(folder, USER, USER)
        program = ["-m", "tests.ordinary_user"] if as_other else []
        with subprocess.Popen(
            [sys.executable, *program, "-m", "tests.sandbox_server", *(["by-bubblewrap"] if by_bubblewrap else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"HOME": folder, "TMPDIR": folder, "PATH": os.environ["PATH"], "SITE_PASSWORD": "a secret"},
        ) as process:
            assert process.stdout is not None
            try:
                yield Sandbox(process, Path(folder), **json.loads(process.stdout.readline()))
            finally:
                if process.stdin is not None and not process.stdin.closed:
                    process.stdin.close()
                process.wait(timeout=30)
