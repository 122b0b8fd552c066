"""Jobs at a real datasite: from the owner's approval to the first line of code, and from submission to result."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.job_scene import KEEPS_OPEN, JobScene, silence
from tests.benchmarks.memory import descendants_of, proportional_bytes
from tests.system.waiting import children_of, wait_until_gone

_QUIET_SECONDS = 0.5
"""Between jobs: nobody submits and approves at every instant, and what the one before started has ended."""


@dataclass
class JobTimes:
    """What a series of jobs took, in seconds, and how much memory its processes have, in bytes."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    whole_cold: float = 0.0
    zygote_bytes: int = 0
    job_bytes: int = 0


def measure_jobs(scene: JobScene, jobs: int, cold: int) -> JobTimes:
    """Submit to result for `jobs` jobs and, each with an approval of its own, approval to first line for as many."""
    times = JobTimes()
    with scene.approver():
        times.whole_cold = _submission_to_result(scene)  # the site's zygote starts with it
        times.whole = [_submission_to_result(scene) for _ in range(jobs)]
    times.warm = [_approval_to_first_line(scene) for _ in range(jobs)]
    times.zygote_bytes, times.job_bytes = _memory(scene)
    times.cold = [_approval_to_first_line(scene, without_zygote=True) for _ in range(cold)]
    return times


def _submission_to_result(scene: JobScene) -> float:
    time.sleep(_QUIET_SECONDS)
    with silence():
        began = time.monotonic()
        scene.result(scene.submit())
        return time.monotonic() - began


def _approval_to_first_line(scene: JobScene, *, without_zygote: bool = False) -> float:
    """From the approval's commit to the clock that the code prints first: one clock for all processes of a machine."""
    with silence():
        name = scene.submit()
    job = scene.job(name, "pending")
    if without_zygote:
        _end_zygotes(scene)
    time.sleep(_QUIET_SECONDS)
    approved = scene.approve(job)
    return (scene.began(name) - approved) / 1e9


def _memory(scene: JobScene) -> tuple[int, int]:
    """What the warm zygote takes, with the processes that stand ready; and how much more it is while a job runs."""
    with silence():
        name = scene.submit(KEEPS_OPEN)
    job = scene.job(name, "pending")
    time.sleep(_QUIET_SECONDS)
    warm = tree_bytes(children_of(scene.service))
    scene.approve(job)
    scene.wait_until_open(scene.table)
    running = tree_bytes(children_of(scene.service))
    scene.job(name, "held")
    return warm, running - warm


def tree_bytes(roots: Sequence[int]) -> int:
    """The memory (PSS) of processes and all that they started."""
    pids = {pid for root in roots for pid in (root, *descendants_of(root))}
    return sum(proportional_bytes(pid) or 0 for pid in pids)


def _end_zygotes(scene: JobScene) -> None:
    for child in children_of(scene.service):
        os.kill(child, signal.SIGKILL)
        wait_until_gone(child)
