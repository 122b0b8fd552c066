"""How fast a job starts: `python -m tests.benchmarks.bench_sandbox`; from the request to the script's first line.

Cold is a sandbox that is started for the errand; warm is one whose packages are imported. Memory is that of a warm
sandbox at rest: the zygote, and the two processes that wait for the next errand.
"""

import time
from dataclasses import dataclass
from statistics import median

from datasites.sandbox.errand import Cancel, Errand, Limits
from datasites.sandbox.zygote import Zygote
from tests.benchmarks.memory import descendants_of, proportional_bytes

_SCRIPT = "/job/code/main.py"
_LIMITS = Limits(
    memory_bytes=2**30, disk_bytes=2**26, cpu_seconds=60, wall_seconds=60.0, threads=8, text_bytes=2**16
)  # fmt: skip
_FIRST_LINE = "import time; print(time.monotonic(), flush=True)\n"
_LAST_PACKAGE = "import sys; print('sklearn.ensemble' in sys.modules)\n"
_REPEATS, _WARM_SECONDS, _PAUSE_SECONDS = 20, 120, 0.3


@dataclass(frozen=True)
class Start:
    """One errand: seconds to its first line, seconds until nothing of it was left, and what it printed then."""

    first_line: float
    whole: float
    printed: str


def start(zygote: Zygote, script: str = "") -> Start:
    """Do a small errand now."""
    errand = Errand(
        program="script",
        script=_SCRIPT,
        files={_SCRIPT: (_FIRST_LINE + script).encode()},
        shown=(),
        working_folder="/job/code",
        collected="/job/code/outputs",
        environment={},
        limits=_LIMITS,
    )
    with Cancel() as cancel:
        begun = time.monotonic()
        outcome = zygote.run(errand, lambda piece: None, cancel)
        whole = time.monotonic() - begun
    first, _, rest = outcome.stdout.decode().partition("\n")
    return Start(float(first) - begun, whole, rest)


def wait_until_warm(zygote: Zygote) -> None:
    """Wait until the zygote has imported the last of its packages, and the next errand's processes stand ready."""
    deadline = time.monotonic() + _WARM_SECONDS
    while "True" not in start(zygote, _LAST_PACKAGE).printed:
        if time.monotonic() > deadline:
            raise TimeoutError("the sandbox did not become warm")
        time.sleep(_PAUSE_SECONDS)
    time.sleep(1)


def measure() -> dict[str, float]:
    """Milliseconds, as the median of several starts, and megabytes."""
    cold = []
    for _ in range(3):
        begun = time.monotonic()
        with Zygote() as zygote:
            before = time.monotonic() - begun
            cold.append(before + start(zygote).first_line)
    with Zygote() as zygote:
        wait_until_warm(zygote)
        warm = []
        for _ in range(_REPEATS):
            warm.append(start(zygote))
            time.sleep(_PAUSE_SECONDS)
        assert zygote._process is not None
        processes = [zygote._process.pid, *descendants_of(zygote._process.pid)]
        memory = sum(proportional_bytes(process) or 0 for process in processes)
    return {
        "cold: nothing running to first line, ms": 1e3 * median(cold),
        "warm: request to first line, ms": 1e3 * median(one.first_line for one in warm),
        "warm: request to nothing left, ms": 1e3 * median(one.whole for one in warm),
        "memory of a warm sandbox at rest, MB": memory / 1e6,
    }


def main() -> None:
    """Print what was measured."""
    for name, value in measure().items():
        print(f"{name:<45} {value:8.1f}")


if __name__ == "__main__":
    main()
