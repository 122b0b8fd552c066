"""The probe: which layers of the sandbox hold on this machine, tried for real, and what to do where they do not."""

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from datasites.sandbox import control_group
from datasites.sandbox.environment import OWN_PACKAGES
from datasites.sandbox.errand import Cancel, Errand, Limits
from datasites.sandbox.system_calls import ARCHITECTURES
from datasites.sandbox.zygote import Zygote
from policies.errors import CloisterError

_LOCK_DOWN = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from datasites.sandbox.lockdown import lock_down; print(*lock_down(2**30))"
)
_SECONDS = 60
_SETTINGS = (
    ("user/max_user_namespaces", "0", "set user.max_user_namespaces to 10000 by sysctl"),
    ("kernel/unprivileged_userns_clone", "0", "set kernel.unprivileged_userns_clone to 1 by sysctl"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "set kernel.apparmor_restrict_unprivileged_userns to 0 by sysctl",
    ),
)
_SCRIPT = "/job/probe.py"
_SMALL = Limits(
    memory_bytes=2**28, disk_bytes=2**20, cpu_seconds=10, wall_seconds=10.0, threads=2, text_bytes=2**10
)  # fmt: skip


@dataclass(frozen=True)
class Layers:
    """What holds a job, and what holds the trainer; nothing if it cannot run here. `missing`: what to do about it."""

    jobs: tuple[str, ...]
    training: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether both can run."""
        return bool(self.jobs and self.training)


def probe() -> Layers:
    """Lock a process down as a trainer, and do a small errand as a job; it takes about half a second."""
    training = _training_layers()
    jobs, refusal = _job_layers()
    missing = []
    if not training:
        missing.append("Training needs Linux on x86-64 or 64-bit ARM, with seccomp switched on in its kernel.")
    if not jobs:
        missing += [refusal, *_advice()]
    return Layers(jobs, training, tuple(missing))


def _training_layers() -> tuple[str, ...]:
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", _LOCK_DOWN, str(OWN_PACKAGES)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    return tuple(done.stdout.split()) if done.returncode == 0 else ()


def _job_layers() -> tuple[tuple[str, ...], str]:
    errand = Errand("script", _SCRIPT, {_SCRIPT: b""}, (), "/job/code", "/job/code/outputs", {}, _SMALL)
    try:
        with Zygote(errands="one") as zygote, Cancel() as cancel:
            outcome = zygote.run(errand, lambda piece: None, cancel)
    except (CloisterError, OSError) as error:
        return (), str(error)
    if outcome.ending != "finished":
        return (), f"A small job did not run in the sandbox: it was {outcome.ending}."
    return outcome.layers, ""


def _advice() -> list[str]:
    """What is known to keep jobs from running, each with what to do."""
    found = []
    if platform.system() != "Linux" or platform.machine() not in ARCHITECTURES:
        found.append("Jobs run on Linux on x86-64 or 64-bit ARM only; run the datasite on such a machine.")
    instead = "" if shutil.which("bwrap") else ", or install bubblewrap (apt install bubblewrap)"
    for name, value, advice in _SETTINGS:
        if _setting(name) == value:
            found.append(f"This machine restricts user namespaces, which separate a job from it: {advice}{instead}.")
    if not found and instead:
        found.append(
            "User namespaces, which separate a job from this machine, cannot be made: allow them (for a container, in "
            f"its security options){instead}."
        )
    if control_group.needed():
        found.append(
            "For root, only a control group bounds a job's threads: make /sys/fs/cgroup writable with its pids "
            "controller, or run the datasite as an ordinary user."
        )
    return found


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""
