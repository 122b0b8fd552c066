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
from tests.benchmarks.jobs import tree_bytes
from tests.benchmarks.memory import proportional_bytes
from tests.demo.commands import environment

LARGE_BYTES = 2 * 10**9
_ROW_BYTES, _PIECE_ROWS = 64, 2**14
_SYNCS = 60
_BETWEEN_SYNCS = 0.03
_BETWEEN_LOOKS = 0.01
_LOOKS, _BETWEEN_TREES = 7, 0.15


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
    """The costs of a set with a small private file, and then of the same set with one of 2 GB."""
    _running(scene, scene.table)  # from here on the zygote is warm
    small = _costs(scene, write_table(_place(scene, "small"), "p", 200))
    large = _costs(scene, write_large(_place(scene, "large")))
    return small, large


def _place(scene: JobScene, size: str) -> Path:
    folder = scene.scene.folder / size
    folder.mkdir()
    return folder / "more.csv"


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
    """CPU seconds of one idle sync: what it takes the researcher's session, and the service that is woken meanwhile.

    Of many the lower quartile: whatever else the machine does only adds to it.
    """
    taken = []
    for _ in range(_SYNCS):
        before = _cpu_seconds(scene.service)
        wake(scene.owner.home)
        scene.client.sync()
        time.sleep(_BETWEEN_SYNCS)
        taken.append(_cpu_seconds(scene.service) - before)
    return statistics.quantiles(taken)[0]


def _cpu_seconds(service: int) -> float:
    """CPU time so far of the service's threads and of this process."""
    nanoseconds = sum(int(it.read_text().split()[0]) for it in Path(f"/proc/{service}/task").glob("*/schedstat"))
    own = resource.getrusage(resource.RUSAGE_SELF)
    return nanoseconds / 1e9 + own.ru_utime + own.ru_stime


def _running(scene: JobScene, file: Path) -> int:
    """Memory of the service and the sandbox, as the median of some looks, once a job has read the file's first line."""
    with silence():
        job = scene.job(scene.submit(KEEPS_OPEN.replace(DATA_SET, file.stem)), "pending")
    scene.approve(job)
    scene.wait_until_open(file)
    looks = []
    for _ in range(_LOOKS):
        time.sleep(_BETWEEN_TREES)
        looks.append(tree_bytes([scene.service]))
    with scene.owner.engine.begin() as connection:
        cancel_job(connection, job.number, "Measured.", scene.owner.now)
    wake(scene.owner.home)
    return int(statistics.median(looks))
