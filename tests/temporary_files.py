"""Where the tests' temporary files lie: in memory, where this machine has room for them.

On a disk a database waits at each commit for some milliseconds, in which its test computes nothing. The tests kill
processes and never take the machine's power away, so what they show does not depend on the disk.
"""

import os
import tempfile
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM_BYTES = 6 << 30
"""Several times what a run of all tests needs."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Let this process, and all that it starts, make temporary files in memory; who sets TMPDIR decides otherwise."""
    if "TMPDIR" not in os.environ and _is_roomy():
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None


def _is_roomy() -> bool:
    if not os.access(_MEMORY, os.W_OK | os.X_OK):
        return False
    disk = os.statvfs(_MEMORY)
    room_bytes = min(disk.f_bavail * disk.f_frsize, _available_bytes())
    return room_bytes >= _ROOM_BYTES and not disk.f_flag & os.ST_NOEXEC  # a database server's programs lie there


def _available_bytes() -> int:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) << 10
