"""What a private file of 2 GB costs beside a small one: to register, while idle, and while a job has it open."""

import os
import resource
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from datasites.requests.jobs.close import cancel_job
from datasites.store.waking import wake
from tests.benchmarks.job_scene import DATA_SET, KEEPS_OPEN, JobScene, registration, silence, write_table
from tests.benchmarks.memory import peak_of, proportional_bytes
from tests.demo.commands import environment

LARGE_BYTES = 2 * 10**9
_ROW_BYTES, _PIECE_ROWS = 64, 2**14
_SYNCS = 60
_BETWEEN_SYNCS = 0.03
_BETWEEN_LOOKS = 0.01


@dataclass(frozen=True)
class Costs:
    """Of a site that offers one file more: to register it, one idle sync, and memory in bytes at three moments."""

    registration_seconds: float
    sync_seconds: float
    registering_bytes: int
    idle_bytes: int
    running_bytes: int

    def memory_beside(self, other: "Costs") -> int:
        """The most that this takes beyond the other, at any of the moments."""
        return max(
            self.registering_bytes - other.registering_bytes,
            self.idle_bytes - other.idle_bytes,
            self.running_bytes - other.running_bytes,
        )


def measure_private_file(scene: JobScene) -> tuple[Costs, Costs]:
    """The costs of a small private file, and then of one of 2 GB beside it."""
    _running(scene, scene.table)  # from here on the zygote is warm
    small = _costs(scene, write_table(scene.scene.folder / "more.csv", "p", 200))
    large = _costs(scene, write_large(scene.scene.folder / "large.csv"))
    return small, large


def write_large(path: Path) -> Path:
    """A table of random cells, `LARGE_BYTES` long."""
    with path.open("w") as file:
        file.write("cell\n")
        while (left := LARGE_BYTES - file.tell()) > 0:
            digits = os.urandom(_PIECE_ROWS * (_ROW_BYTES - 1) // 2 + _PIECE_ROWS).hex()
            rows = (digits[at : at + _ROW_BYTES - 1] for at in range(0, len(digits), _ROW_BYTES - 1))
            file.write("\n".join(rows)[: left - 1] + "\n")
    return path


def _costs(scene: JobScene, file: Path) -> Costs:
    seconds, registering = _register(scene, file)
    scene.wait_for_data_set(file.stem)
    time.sleep(1.0)
    return Costs(seconds, _sync(scene), registering, proportional_bytes(scene.service) or 0, _running(scene, file))


def _register(scene: JobScene, file: Path) -> tuple[float, int]:
    """Seconds of `datasite files add`, and the most memory that the command had."""
    began, most = time.monotonic(), 0
    with subprocess.Popen(
        registration(scene.site, file.stem, file), env=environment(), stdout=subprocess.DEVNULL
    ) as it:
        while it.poll() is None:
            most = max(most, proportional_bytes(it.pid) or 0)
            time.sleep(_BETWEEN_LOOKS)
    assert it.returncode == 0
    return time.monotonic() - began, most


def _sync(scene: JobScene) -> float:
    """CPU seconds of one idle sync: what it takes the researcher's session, and the service that is woken meanwhile."""
    taken = []
    for _ in range(_SYNCS):
        before = _cpu_seconds(scene.service)
        wake(scene.owner.home)
        scene.client.sync()
        time.sleep(_BETWEEN_SYNCS)
        taken.append(_cpu_seconds(scene.service) - before)
    return statistics.median(taken)


def _cpu_seconds(service: int) -> float:
    """CPU time so far of the service's threads and of this process."""
    nanoseconds = sum(int(it.read_text().split()[0]) for it in Path(f"/proc/{service}/task").glob("*/schedstat"))
    own = resource.getrusage(resource.RUSAGE_SELF)
    return nanoseconds / 1e9 + own.ru_utime + own.ru_stime


def _running(scene: JobScene, file: Path) -> int:
    """The most memory of the service and the sandbox from an approval until a job has read the file's first line."""
    with silence():
        job = scene.job(scene.submit(KEEPS_OPEN.replace(DATA_SET, file.stem)), "pending")
    with peak_of(lambda: [scene.service]) as peak:
        scene.approve(job)
        scene.wait_until_open(file)
        time.sleep(1.0)
    with scene.owner.engine.begin() as connection:
        cancel_job(connection, job.number, "Measured.", scene.owner.now)
    wake(scene.owner.home)
    return peak.bytes
