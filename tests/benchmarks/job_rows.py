"""The rows on jobs: what was measured of them, in the rows' units, with what explains each figure."""

import tempfile
from pathlib import Path

from tests.benchmarks import pysyft_peer
from tests.benchmarks.job_scene import open_job_scene
from tests.benchmarks.jobs import JobTimes, measure_jobs
from tests.benchmarks.private_file import Costs, measure_private_file
from tests.benchmarks.table import Measured, spread

_SERIES = {"job-warm", "job-cold", "job-whole"}
_FILE = {"file-sync", "file-memory"}
JOB_ROWS = _SERIES | _FILE
_COLD, _PYSYFT = 3, 3


def measure_job_rows(rows: set[str], jobs: int, measured: Measured) -> None:
    """One site for all: series of `jobs` jobs, and then a private file of 2 GB."""
    with tempfile.TemporaryDirectory(prefix="jobs-") as folder, open_job_scene(Path(folder)) as scene:
        if rows & _SERIES:
            add_times(measure_jobs(scene, jobs, _COLD), measured)
            if pysyft_peer.available():
                _add_pysyft(measured)
        if rows & _FILE:
            add_costs(*measure_private_file(scene), measured)


def add_times(times: JobTimes, measured: Measured) -> None:
    """The rows on how fast jobs begin and end."""
    warm = [1e3 * it for it in times.warm]
    for key, samples in (("job-warm", warm), ("job-cold", times.cold), ("job-whole", times.whole)):
        measured.ours[key] = samples
        measured.notes[key] = spread(samples)
    measured.notes["job-warm"] |= {"zygote MB": times.zygote_bytes / 1e6, "a job beside it MB": times.job_bytes / 1e6}
    measured.notes["job-whole"]["the first one, cold, s"] = times.whole_cold


def _add_pysyft(measured: Measured) -> None:
    """PySyft's own runner, right after ours; it has nothing warm."""
    try:
        seconds = [pysyft_peer.approved_to_first_line() for _ in range(_PYSYFT)]
    except OSError as error:
        measured.notes["job-warm"]["PySyft"] = f"not measured: {error}"
        return
    measured.peers["job-warm"] = {"PySyft 0.10": [1e3 * it for it in seconds]}
    measured.peers["job-cold"] = {"PySyft 0.10": seconds}


def add_costs(small: Costs, large: Costs, measured: Measured) -> None:
    """The rows on a large private file: what it costs more than a small one."""
    measured.ours["file-sync"] = [1e3 * (large.sync_seconds - small.sync_seconds)]
    measured.notes["file-sync"] = {"all of one sync ms": 1e3 * large.sync_seconds}
    measured.ours["file-memory"] = [large.memory_beside(small) / 1e6]
    measured.notes["file-memory"] = {
        "registering MB": (large.registering_bytes - small.registering_bytes) / 1e6,
        "idle MB": (large.idle_bytes - small.idle_bytes) / 1e6,
        "a job has it open MB": (large.running_bytes - small.running_bytes) / 1e6,
        "registration s": large.registration_seconds,
        "of a small file s": small.registration_seconds,
    }
