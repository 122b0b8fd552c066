"""Importing the bridge brings neither torch nor Google's libraries nor `syft` itself, and takes little time."""

import subprocess
import sys

_SCRIPT = """
import sys, time
started = time.process_time()
import datasites.syft_bridge.data_sets, datasites.syft_bridge.jobs, datasites.syft_bridge.views
import datasites.syft_bridge.analysis_jobs, datasites.syft_bridge.job_box
print(time.process_time() - started)
heavy = {"torch", "opacus", "google", "googleapiclient", "google_auth_oauthlib", "syft", "syft_rds", "numpy", "pandas"}
print(*sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_the_bridge_is_light():
    finished = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    seconds, heavy = finished.stdout.split("\n")[:2]
    assert heavy == ""
    assert float(seconds) < 3.0
    assert finished.stderr == ""
