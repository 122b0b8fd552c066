"""Flower beside us, on the same machine in the same run, where `make bench-peers` has put it into .venv-peers.

Settings, the best that its documentation names for speed: no TLS (`--insecure`), the SuperLink's state in memory, apps
installed beforehand (no installation when a run starts), no evaluation rounds; a client that computes nothing.
"""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.memory import peak_of
from tests.system.waiting import eventually

BIN = Path(".venv-peers/bin").absolute()
_APP = Path(__file__).parent / "flower_app"
_SECONDS = 300.0


@dataclass(frozen=True)
class FlowerRun:
    """What one start of Flower gave: seconds of each round but the first, start to first round, and memory."""

    rounds: list[float]
    start_to_first_round: float
    peak_bytes: int


def available() -> bool:
    """Whether Flower is installed."""
    return (BIN / "flwr").exists()


def version() -> str:
    """As it says itself."""
    done = subprocess.run([BIN / "flwr", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def deployed(parameters: int, rounds: int, *, secure: bool) -> FlowerRun:
    """A SuperLink, three SuperNodes and one `flwr run`, plain FedAvg or SecAgg+."""
    with tempfile.TemporaryDirectory(prefix="flower-") as name, contextlib.ExitStack() as running:
        folder = Path(name)
        ports = _free_ports(4)
        stamps = _write_app(folder, ports[0], parameters, rounds, "secure" if secure else "plain")
        roots: list[int] = []
        peak = running.enter_context(peak_of(lambda: roots))
        began = time.time()
        link = (
            "--insecure",
            "--host",
            "127.0.0.1",
            "--port",
            str(ports[0]),
            "--disable-runtime-dependency-installation",
        )
        roots.append(_start(folder, running, "flower-superlink", *link))
        for port in ports[1:]:
            node = ("--insecure", "--superlink", f"127.0.0.1:{ports[0]}", "--host", "127.0.0.1", "--port", str(port))
            roots.append(_start(folder, running, "flower-supernode", *node))
        eventually(lambda: _listens(ports[0]), "a SuperLink listening", 60)
        subprocess.run(
            [BIN / "flwr", "run", folder / "app", "bench"], env=_environment(folder), capture_output=True, check=True
        )
        return _read(stamps, began, rounds, peak_bytes=lambda: peak.bytes)


def simulated(parameters: int, rounds: int) -> FlowerRun:
    """Its simulation: everything on one machine over Ray's workers."""
    with tempfile.TemporaryDirectory(prefix="flower-") as name, contextlib.ExitStack() as running:
        folder = Path(name)
        stamps = folder / "stamps"
        stamps.touch()
        roots: list[int] = []
        peak = running.enter_context(peak_of(lambda: roots))
        began = time.time()
        arguments = (str(_APP / "simulate.py"), str(stamps), str(parameters), str(rounds))
        roots.append(_start(folder, running, "python", *arguments))
        return _read(stamps, began, rounds, peak_bytes=lambda: peak.bytes)


def _write_app(folder: Path, port: int, parameters: int, rounds: int, kind: str) -> Path:
    """Flower's configuration and app below `folder`; gives the file that the server writes times into."""
    stamps = folder / "stamps"
    stamps.touch()
    shutil.copytree(_APP, folder / "app" / "rounds_app")
    (folder / "app" / "rounds_app" / "__init__.py").touch()
    (folder / "config.toml").write_text(
        f'[superlink]\ndefault = "bench"\n\n[superlink.bench]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    (folder / "app" / "pyproject.toml").write_text(
        f"""\
[project]
name = "rounds-app"
version = "1.0.0"
description = "Rounds to be timed"
license = "Apache-2.0"
dependencies = ["flwr"]

[tool.flwr.app]
publisher = "benchmark"

[tool.flwr.app.components]
serverapp = "rounds_app.{kind}_server:app"
clientapp = "rounds_app.{kind}_client:app"

[tool.flwr.app.config]
parameters = {parameters}
rounds = {rounds}
stamps = "{stamps}"
"""
    )
    return stamps


def _read(stamps: Path, began: float, rounds: int, peak_bytes: Callable[[], int]) -> FlowerRun:
    """Wait until the server has written down the end of its last round."""
    lines = eventually(lambda: _all_lines(stamps, rounds + 1), f"{rounds} rounds of Flower", _SECONDS)
    times = [float(line.split()[1]) for line in lines]
    seconds = [later - earlier for earlier, later in itertools.pairwise(times)]
    # The first round starts the clients' processes: it counts as start, where ours is left out as well.
    return FlowerRun(seconds[1:], times[1] - began, peak_bytes())


def _all_lines(stamps: Path, count: int) -> list[str]:
    lines = stamps.read_text().splitlines()
    return lines if len(lines) >= count else []


def _start(folder: Path, running: contextlib.ExitStack, program: str, *arguments: str) -> int:
    """Start a program of Flower's in a process group of its own, which is ended when `running` is left."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [BIN / program, *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(folder),
            cwd=folder,
            start_new_session=True,
        )
    running.callback(_stop, process)
    return process.pid


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    # What it started shares its group, and may outlive it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(folder: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "FLWR_HOME": str(folder),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as taken:
        sockets = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(it.getsockname()[1]) for it in sockets]
