"""Every allowed operation and optimiser must still work in a process that can open nothing any more."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("every_operation_locked_down.py")


def test_every_allowed_operation_runs_after_the_lockdown() -> None:
    done = subprocess.run(
        [sys.executable, "-B", str(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[3])},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1].endswith("failed 0"), done.stdout
