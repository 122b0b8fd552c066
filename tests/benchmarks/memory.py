"""Memory that processes take together: the peak of their summed PSS, in which a page that n share counts 1/n each."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.demo.commands import environment
from tests.system.waiting import children_of

_BETWEEN_SAMPLES = 0.2


@dataclass
class Peak:
    """The highest sum seen, in bytes, and how many processes it was over."""

    bytes: int = 0
    processes: int = 0
    samples: int = 0


@contextmanager
def peak_of(roots: Callable[[], list[int]]) -> Iterator[Peak]:
    """Sample, while inside, the processes of `roots` and all that they started."""
    peak, stop = Peak(), threading.Event()

    def sample() -> None:
        while not stop.wait(_BETWEEN_SAMPLES):
            pids = {pid for root in roots() for pid in (root, *descendants_of(root))}
            sizes = [size for size in map(proportional_bytes, pids) if size is not None]
            peak.samples += 1
            if sum(sizes) > peak.bytes:
                peak.bytes, peak.processes = sum(sizes), len(sizes)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def descendants_of(pid: int) -> list[int]:
    """Children, their children, and so on."""
    return [found for child in children_of(pid) for found in (child, *descendants_of(child))]


def proportional_bytes(pid: int) -> int | None:
    """A process' PSS; None once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), None)


def demo_peak() -> Peak:
    """Run the whole demo and sample all that it starts; not its driver, which measures with torch of its own."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.demo.run", str(Path(folder) / "out")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        with peak_of(lambda: children_of(process.pid)) as peak:
            _, complaint = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"The demo failed: {complaint.decode()[-2000:]}")
    return peak
