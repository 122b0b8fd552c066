"""PySyft's own runner beside ours: one approved job, from its runner's call to the first line of the job's code.

Its run script makes a virtual environment with uv for each job and installs syft into it. `make bench-peers` brings uv
and lets one such job fill uv's cache; then it is measured without network, as fast as it can be.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from syft_job import JobClient, JobState, JobStatus, SyftJobConfig
from syft_job.job_runner import SyftJobRunner

from tests.benchmarks.job_scene import silence

_PEERS = Path(".venv-peers").absolute()
_OWNER = "owner@site.example"
_FIRST_LINE = "import time\nprint(time.monotonic_ns())\n"


def available() -> bool:
    """Whether uv is installed for it."""
    return (_PEERS / "bin" / "uv").exists()


def approved_to_first_line(*, offline: bool = True) -> float:
    """Seconds from the call of PySyft's runner, with one job approved, to the job's first line.

    Raises:
        OSError: the job did not run: no Python of PySyft's own choice, or nothing in uv's cache.
    """
    with tempfile.TemporaryDirectory(prefix="pysyft-") as folder, _uv(offline), silence():
        config = SyftJobConfig(syftbox_folder=Path(folder), current_user_email=_OWNER)
        script = Path(folder) / "main.py"
        script.write_text(_FIRST_LINE)
        client = JobClient(config)
        client.peer_install_sources[_OWNER] = f"syft=={version('syft')}"  # as a site says of itself
        client.submit_python_job(_OWNER, str(script), job_name="first-line")
        client.scan_inbox()
        runner = SyftJobRunner(config)
        (ref,) = runner._get_pending_jobs()
        state: JobState = client.manager.read_state(ref)
        state.status = JobStatus.APPROVED
        client.manager.write_state(ref, state)
        began = time.monotonic_ns()
        runner.process_approved_jobs(stream_output=False)
        review: Path = client.manager.review_dir(ref)
        printed = (review / "stdout.txt").read_text().split()
        if not printed:
            raise OSError((review / "stderr.txt").read_text().strip()[-300:])
        return (int(printed[0]) - began) / 1e9


@contextmanager
def _uv(offline: bool) -> Iterator[None]:
    """The environment in which PySyft's run script finds uv, and its cache filled."""
    before = dict(os.environ)
    os.environ |= {
        "PATH": f"{_PEERS / 'bin'}{os.pathsep}{before['PATH']}",
        "UV_CACHE_DIR": str(_PEERS / "uv-cache"),
        "UV_OFFLINE": "1" if offline else "0",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


if __name__ == "__main__":
    print(f"With network, uv's cache being filled: {approved_to_first_line(offline=False):.1f} s")
