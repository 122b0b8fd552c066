"""A program that does errands for tests: one line of JSON in, one out. It runs as whichever user starts it."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasites.sandbox import zygote
from datasites.sandbox.errand import Cancel, Errand, Limits, Shown
from datasites.sandbox.zygote import Zygote
from policies.errors import CloisterError

SCRIPT = "/job/code/main.py"


def limits(changed: Mapping[str, Any]) -> Limits:
    """Small limits, but for those that are given."""
    usual = {
        "memory_bytes": 2**29,
        "disk_bytes": 2**24,
        "cpu_seconds": 20,
        "wall_seconds": 20.0,
        "threads": 16,
        "text_bytes": 2**16,
    }
    return Limits(**(usual | changed))


def do(warm: Zygote, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Do one errand; what came of it, with the outputs' contents by name."""
    files = {place: base64.b64decode(content) for place, content in asked["files"].items()}
    written = bytearray()
    with ExitStack() as stack:
        shown = []
        for place, path in asked["shown"].items():
            descriptor = os.open(asked["checked"].get(place, path), os.O_RDONLY)
            stack.callback(os.close, descriptor)
            shown.append(Shown(place, Path(path), descriptor))
        errand = Errand(
            program="script",
            script=SCRIPT,
            files=files,
            shown=tuple(shown),
            working_folder="/job/code",
            collected="/job/code/outputs",
            environment=asked["environment"],
            limits=limits(asked["limits"]),
            packages=asked["packages"],
        )
        cancel = stack.enter_context(Cancel())
        if asked["cancel_after"] is not None:
            threading.Timer(asked["cancel_after"], cancel.cancel).start()
        try:
            outcome = warm.run(errand, written.extend, cancel)
        except CloisterError as error:
            return {"refusal": f"{type(error).__name__}: {error}"}
    contents, rest = {}, bytes(written)
    for output in outcome.outputs:
        contents[output.name], rest = base64.b64encode(rest[: output.size]).decode(), rest[output.size :]
    found = asdict(outcome) | {"stdout": outcome.stdout.decode(), "stderr": outcome.stderr.decode()}
    return found | {"contents": contents, "refusal": None}


def outside(script: str) -> str:
    """What the script prints when nothing holds it."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def find_no_namespaces() -> None:
    """Let the zygotes that are started from now on find that own namespaces do not hold."""
    zygote._START = zygote._START.replace(
        "import main", "import _Zygote, main; _Zygote._own_namespaces_hold = lambda self: False"
    )


def main() -> None:
    """Serve until there is no more input; the first line names this process and its zygote's."""
    if "by-bubblewrap" in sys.argv:
        find_no_namespaces()
    with Zygote() as warm:
        assert warm._process is not None
        print(json.dumps({"server": os.getpid(), "zygote": warm._process.pid}), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            answer = outside(asked["script"]) if asked.get("outside") else do(warm, asked)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
