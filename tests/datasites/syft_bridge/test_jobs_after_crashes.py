"""Killed, raced or edited by hand: the next start shows whole jobs, in step with the database."""

import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from datasites.syft_bridge.jobs import job_name, set_status

DIGEST = "ab" * 32
FILES = {"source.py": b"class Plan:\n    rounds = 3\n", "terms.json": b'{"rounds":3}'}


def test_what_somebody_did_in_a_notebook_is_put_right_and_not_heeded(place, capsys):
    place.record()
    (job,) = place.upstream_jobs()
    state_file = job.job_review_path / "state.yaml"
    assert stat.S_IMODE(state_file.stat().st_mode) == 0o400
    state_file.chmod(0o600)
    job.approve()
    assert place.statuses() == ["approved"]
    place.record()
    set_status(place.folder, DIGEST, "pending")
    assert place.statuses() == ["pending"]
    capsys.readouterr()


@pytest.mark.parametrize("damage", ["state gone", "state empty", "state a link", "job half moved", "leftovers"])
def test_start_puts_right_what_a_crash_left(place, tmp_path, damage):
    place.record()
    (job,) = place.upstream_jobs()
    state_file = job.job_review_path / "state.yaml"
    bystander = tmp_path / "bystander"
    bystander.write_bytes(b"untouched")
    match damage:
        case "state gone":
            state_file.unlink()
        case "state empty":
            state_file.unlink()
            state_file.write_bytes(b"")
        case "state a link":
            state_file.unlink()
            state_file.symlink_to(bystander)
        case "job half moved":
            job.job_submission_path.rename(tmp_path / "never-arrived")
        case "leftovers":
            (place.folder.box / ".cloister-staging" / "half").mkdir(parents=True)
    place.record()
    set_status(place.folder, DIGEST, "approved")
    assert [(job.name, job.status) for job in place.upstream_jobs()] == [(job_name(DIGEST), "approved")]
    assert bystander.read_bytes() == b"untouched"
    assert sorted(path.name for path in place.folder.box.iterdir()) == [place.folder.owner_email]


def test_killed_before_each_step_the_next_start_shows_one_whole_job(place, monkeypatch):
    """Stops `record_request` before its n-th rename, for each n, as a kill would; a listing never shows half a job."""
    replace = Path.replace

    class KilledError(BaseException):
        pass

    for survived in range(2):
        left = survived

        def dying(path, target):
            nonlocal left
            if left == 0:
                raise KilledError
            left -= 1
            return replace(path, target)

        digest = f"{survived:02d}" * 32
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", dying)
            with pytest.raises(KilledError):
                place.record(digest)
        assert len(place.upstream_jobs()) == survived
        place.record(digest)
        assert place.statuses() == ["pending"] * (survived + 1)


_RECORDER = """
import itertools, sys
from pathlib import Path
from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.jobs import record_request, set_status
folder = SyftFolder(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
files = {"source.py": b"class Plan:\\n    rounds = 3\\n", "terms.json": b'{"rounds":3}'}
print("ready", flush=True)
for number in itertools.count():
    digest = f"{number:032x}" * 2
    record_request(folder, digest, title="Risk of readmission", researcher_name="Ada Lovelace", files=files,
                   received_at=1_700_000_100)
    set_status(folder, digest, "approved")
"""


@pytest.mark.parametrize("milliseconds", [15, 40, 85, 130])
def test_killed_at_any_instant_whole_jobs_stand_and_work_goes_on(place, milliseconds):
    arguments = [str(place.folder.box), str(place.folder.private_root), place.folder.owner_email]
    with subprocess.Popen([sys.executable, "-c", _RECORDER, *arguments], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        time.sleep(milliseconds / 1000)
        child.kill()
    jobs = list(place.upstream_jobs())
    assert {job.status for job in jobs} <= {"pending", "approved"}
    assert all(job.code == FILES["source.py"].decode() for job in jobs)
    for number in range(len(jobs) + 1):
        place.record(f"{number:032x}" * 2)
        set_status(place.folder, f"{number:032x}" * 2, "done")
    assert place.statuses() == ["done"] * (len(jobs) + 1)


def test_many_threads_record_one_job(place):
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(place.record())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [job_name(DIGEST)] * 8
    assert len(place.upstream_jobs()) == 1
