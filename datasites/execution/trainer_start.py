"""How a trainer's process begins, with nothing of this one's but what it is given, and how it ended."""

import subprocess
import sys
from dataclasses import dataclass

from datasites.sandbox.environment import OWN_PACKAGES

# A fifth of a start went into looking for garbage among what is being imported, which stays; `child` looks again later.
_START = (
    "import gc, sys; gc.disable(); sys.path.append(sys.argv[1]); "
    "from datasites.training.child import main; main(*map(int, sys.argv[2:]))"
)
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HOME": "/nonexistent",
    # Neither looks through all installed packages for plug-ins, which would be imported.
    "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
    "PYDANTIC_DISABLE_PLUGINS": "1",
}
_LAST_MOMENT_SECONDS = 0.2
MEMORY_BYTES = 8 << 30
"""How much memory a study's trainer may have, on each machine."""


@dataclass(frozen=True)
class Place:
    """Which worker of a study's `count` a trainer is (0 leads), and the stream descriptors to those it works with."""

    rank: int
    count: int
    links: tuple[int, ...]


ALONE = Place(0, 1, ())


def start_trainer(limits: tuple[int, int, int, int], place: Place) -> subprocess.Popen[bytes]:
    """Start a child: `limits` are its memory in bytes, its door's descriptor, its cache in bytes, and its threads."""
    numbers = map(str, (*limits, place.rank, place.count, *place.links))
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", _START, str(OWN_PACKAGES), *numbers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
        pass_fds=(limits[1], *place.links),
    )


def ended_by(process: subprocess.Popen[bytes]) -> int | None:
    """The exit status of a process whose pipe may have closed a moment before it could be waited for."""
    try:
        return process.wait(_LAST_MOMENT_SECONDS)
    except subprocess.TimeoutExpired:
        return None
