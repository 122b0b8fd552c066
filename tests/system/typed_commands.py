"""Typing commands as a person does, in a process of its own, and text that tries to look like ours when printed."""

import re
import subprocess
from pathlib import Path

from tests.demo.commands import COMMAND, environment

MARKUP = "[bold green]✓ approved[/] [link=http://x.example]here[/link]"
CURSOR = re.compile(r"\x1b(?!\[[0-9;]*m)")
"""Escape sequences beyond colours: links, moves of the cursor, titles of the window."""


def typed(*words: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Type a command, and give what it did."""
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env={**environment(), **variables}, check=False
    )
