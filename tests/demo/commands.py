"""Drives the public commands as their users would: one process a command, answers read from --json."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

COMMAND = (str(Path(sys.executable).parent / "datasite"),)


class CommandFailedError(Exception):
    """A command ended with another exit code than 0; `code` and `sentence` are what it said."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(f"exit code {code}: {sentence}")
        self.code, self.sentence = code, sentence


def environment() -> dict[str, str]:
    """The environment of every process of the demo: one thread a process, since they share two cores."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}


def _run(words: Sequence[str], variables: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=variables, check=False)


run: Callable[[Sequence[str], Mapping[str, str]], "subprocess.CompletedProcess[str]"] = _run
"""How `datasite` has a command run with these words and variables; system tests put `forked_commands` in its place."""


def datasite(*arguments: str | Path) -> Any:
    """Run `datasite …  --json` and give what it printed."""
    done = run([*map(str, arguments), "--json"], environment())
    if done.returncode != 0:
        raise CommandFailedError(done.returncode, _sentence(done.stderr))
    return json.loads(done.stdout)


def show_to_people(*arguments: str | Path) -> None:
    """Run a command as a person would, its output on the terminal."""
    subprocess.run([*COMMAND, *map(str, arguments)], env=environment(), check=True)


def start(*arguments: str | Path, log: Path, command: tuple[str, ...] = COMMAND) -> subprocess.Popen[bytes]:
    """Start a command that keeps running; what it prints goes to `log`."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [*command, *map(str, arguments)], stdout=output, stderr=subprocess.STDOUT, env=environment()
        )


def _sentence(stderr: str) -> str:
    try:
        return str(json.loads(stderr)["error"])
    except (ValueError, KeyError):
        return stderr.strip()
