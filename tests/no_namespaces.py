"""Run a test program where no user namespace can be made: `python -m tests.no_namespaces PROGRAM …`, as root.

It runs as root of a user namespace of its own, in which the kernel's number of further ones is set to none.
"""

import os
import sys
from pathlib import Path

from datasites.sandbox import kernel


def main(program: list[str]) -> None:
    """Switch user namespaces off for this process and its children, and run the Python program."""
    ready, told = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        kernel.unshare(kernel.NEW_USERS)
        os.write(ready[1], b"x")
        os.read(told[0], 1)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        os.execv(sys.executable, [sys.executable, *program])  # noqa: S606 – no shell, on purpose
    os.read(ready[0], 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{name}").write_text("0 0 4294967295")
    os.write(told[1], b"x")
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
