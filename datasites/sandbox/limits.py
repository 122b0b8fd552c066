"""What a process may use of the machine: bounds that it sets on itself, and can never raise again."""

import ctypes
import resource
from pathlib import Path

PACKAGES_BYTES = 3 * 2**29
"""Address space for the interpreter and the packages that jobs import, whether they were imported ahead or not yet."""

_MOST_ARENAS = -8


def limit_resources(
    *, memory_bytes: int, open_files: int, file_bytes: int = 0, cpu_seconds: int | None = None, tasks: int | None = None
) -> None:
    """Bound this process.

    Args:
        memory_bytes: of address space.
        file_bytes: of each file that it writes.
        cpu_seconds: then it is told by SIGXCPU, and a second later ended.
        tasks: processes and threads of its user in its user namespace; the kernel exempts root.
    """
    bounds = {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_FSIZE: (file_bytes, file_bytes),
        resource.RLIMIT_NOFILE: (open_files, open_files),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
    }
    if cpu_seconds is not None:
        bounds[resource.RLIMIT_CPU] = (cpu_seconds, cpu_seconds + 1)
    if tasks is not None:
        bounds[resource.RLIMIT_NPROC] = (tasks, tasks)
    for kind, (soft, hard) in bounds.items():
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))


def memory_in_use() -> tuple[int, int]:
    """This process's address space, and what of it is in memory, in bytes."""
    total, resident = Path("/proc/self/statm").read_text().split()[:2]
    return int(total) * resource.getpagesize(), int(resident) * resource.getpagesize()


def share_memory_among_threads() -> None:
    """Let the C library's threads share their pools of memory: each of them takes 64 MiB of address space."""
    ctypes.CDLL(None).mallopt(_MOST_ARENAS, 2)
