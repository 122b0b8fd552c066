"""Commands for system tests: each in a process of its own, forked from one that has imported the commands already."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from datasites.cli import main

_FORKS = multiprocessing.get_context("forkserver")
_KILLED = -9
"""The code of a command that could not tell its own."""


def run(words: Sequence[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run `datasite` with these words, as a process started for it would; gives what it printed and its exit code."""
    _FORKS.set_forkserver_preload([f"datasites.cli.{module}" for module in sorted({"main", *main.MODULES.values()})])
    with TemporaryDirectory(prefix="command-") as folder:
        printed = [Path(folder) / name for name in ("stdout", "stderr")]
        code = Path(folder) / "code"
        process = _FORKS.Process(target=_command, args=(list(words), dict(environment), printed, code))
        process.start()
        process.join()
        stdout, stderr = (file.read_text() for file in printed)
        # `Process.exitcode` is wrong at times if several threads run commands: each reaps the others' processes too.
        ended = int(code.read_text()) if code.exists() else _KILLED
    return subprocess.CompletedProcess(list(words), ended, stdout, stderr)


def _command(words: list[str], environment: dict[str, str], printed: list[Path], code: Path) -> None:
    for stream, file in zip((sys.stdout, sys.stderr), printed, strict=True):
        stream.flush()
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["datasite", *words]
    try:
        main.main()
    except SystemExit as end:
        code.write_text(str(end.code or 0))
        raise
    code.write_text("0")
