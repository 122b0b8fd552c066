"""The sandbox by bubblewrap, where the machine lets only that program make namespaces: slower, for it starts cold.

What an errand sees is the same. Its disk is divided: half of it for the working folder, the rest for the others.
"""

import os
import resource
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from socket import socket
from typing import Never

from datasites.sandbox.control_group import Bound
from datasites.sandbox.environment import OWN_PACKAGES, View, own_packages, standing_view
from datasites.sandbox.frames import Frame, read_frame, write_frame
from datasites.sandbox.keeper import attend, close_others, make_script
from datasites.sandbox.limits import PACKAGES_BYTES
from datasites.sandbox.messages import Task, parse
from datasites.sandbox.request import Request, contents, read_task, refusing, wait_for_request
from policies.errors import RefusedError

_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from datasites.sandbox.bubblewrap import main; main(*map(int, sys.argv[2].split(',')))"
)
_LAYERS = (
    "bubblewrap", "mount-namespace", "pid-namespace", "network-namespace", "ipc-namespace", "uts-namespace",
)  # fmt: skip
_OWN_TASKS = 2


def become_bubblewrap(program: str, door: socket, bound: Bound | None) -> Never:
    """Wait for one errand at `door`, and become the bubblewrap that does it."""
    close_others(door, bound)
    request = wait_for_request(door)
    with refusing(request):
        if Path(program).stat().st_mode & stat.S_ISUID and os.geteuid() != 0:
            raise RefusedError(
                "A setuid bubblewrap cannot bound a disk; allow user namespaces on this machine instead."
            )
        task, body = read_task(request)
        if bound is not None:
            bound.enter()
            bound.limit(task.threads + _OWN_TASKS)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        header = _in_memory(b"")
        write_frame(header, Frame(task.model_copy(update={"files": ()}).canonical()))
        os.lseek(header, 0, os.SEEK_SET)
        inherited = [header, bound is not None, request.channel, *request.texts, *request.shown]
        for descriptor in (request.channel, *request.texts, *request.shown):
            os.set_inheritable(descriptor, True)
        words = [program, *_options(standing_view(), task, contents(task, body))]
        words += [
            "--",
            sys.executable,
            "-I",
            "-B",
            "-c",
            _START,
            str(OWN_PACKAGES),
            ",".join(map(str, map(int, inherited))),
        ]
        os.execv(program, words)  # noqa: S606 – no shell, on purpose
    os._exit(1)


def main(header: int, is_bound: int, channel: int, output: int, errors: int, *shown: int) -> Never:
    """Inside: check what is shown, and keep the errand as the keeper of the other way does."""
    request = Request(channel, [output, errors], list(shown))
    for descriptor in (channel, *shown):
        os.set_inheritable(descriptor, False)
    with refusing(request):
        task = parse(Task, read_frame(header, maximum_body=0).header)
        os.close(header)
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        script = make_script(PACKAGES_BYTES, resident)
        for file, descriptor in zip(task.shown, shown, strict=True):
            found, checked = Path(file.place).stat(), os.fstat(descriptor)
            if (found.st_dev, found.st_ino) != (checked.st_dev, checked.st_ino):
                raise RefusedError("A file of the data set was replaced by another one after it was checked.")
    attend(request, script, task, (*_LAYERS, *(["control-group-pids"] if is_bound else [])))


def _options(view: View, task: Task, files: Mapping[str, memoryview]) -> Iterator[str]:
    yield from ("--unshare-all", "--die-with-parent", "--as-pid-1", "--new-session", "--cap-drop", "ALL")
    for place in view.bound:
        yield from ("--ro-bind", place, place)
    for place, target in view.links:
        yield from ("--symlink", target, place)
    for place in view.devices:
        yield from ("--dev-bind", place, place)
    room = sum(len(content) for content in files.values())
    for place in task.writable:
        share = 2 if task.working_folder.startswith(place) else 2 * len(task.writable)
        yield from ("--size", str(task.disk_bytes // share + room), "--tmpfs", place)
    for place in (*view.bound_below(task.writable), *own_packages()):
        yield from ("--ro-bind", place, place)
    for place in (task.working_folder, task.collected):
        yield from ("--dir", place)
    for place, content in (*view.files, *files.items()):
        yield from ("--perms", "0444", "--file", str(_in_memory(bytes(content))), place)
    for file in task.shown:
        yield from ("--ro-bind", file.path, file.place)
    yield from ("--remount-ro", "/", "--chdir", "/")


def _in_memory(content: bytes) -> int:
    """A descriptor that a program started from here can read the content from."""
    descriptor = os.memfd_create("file", 0)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
