"""The keeper: the first process of an errand's own world. It builds that world, keeps the script, brings the outputs.

It is our code and holds no secret. When it ends, by whatever cause, the kernel ends all that is left in there.
"""

import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Never

from datasites.sandbox import mounts
from datasites.sandbox.control_group import Bound
from datasites.sandbox.environment import own_packages, standing_view
from datasites.sandbox.frames import Frame, read_frame, write_frame, write_stream
from datasites.sandbox.kernel import die_with_parent, drop_capabilities, give_up_privileges, map_own_user
from datasites.sandbox.limits import PACKAGES_BYTES, memory_in_use
from datasites.sandbox.messages import Content, Ended, HowEnded, Locked, Raised, Task, parse
from datasites.sandbox.outputs import Collection, pieces
from datasites.sandbox.request import Request, contents, read_task, refusing, tell, wait_for_request
from datasites.sandbox.script import wait_and_run
from policies.errors import CloisterError, RefusedError

_INSIDE = 1000
_MOST_DESCRIPTORS = 2**16
_NAMESPACES = (
    "user-namespace", "mount-namespace", "pid-namespace", "network-namespace", "ipc-namespace", "uts-namespace",
    "cgroup-namespace",
)  # fmt: skip
_LOCKING_SECONDS = 20.0
_LAST_WORD_SECONDS = 0.2


@dataclass(frozen=True)
class Script:
    """The script's process: its id, a descriptor that tells its end, our end of the line to it, its first memory."""

    process: int
    end: int
    line: socket.socket
    resident: int


def keep(door: socket.socket, outside: tuple[int, int], bound: Bound | None) -> Never:
    """Be the first process of new namespaces: make everything ready, wait for one errand at `door`, and do it.

    Args:
        outside: the user and group that this process has outside.
        bound: the control group to enter, which limits how many threads there can be.
    """
    close_others(door, bound)
    refusal, script, view = "", None, standing_view()
    try:
        if bound is not None:
            bound.enter()
        map_own_user(*outside, _INSIDE)
        die_with_parent()
        space, resident = memory_in_use()
        mounts.build_standing(view)
        os.chdir("/")
        script = make_script(max(space, PACKAGES_BYTES), resident)
    except (CloisterError, OSError) as error:
        refusal = f"The sandbox could not be built: {error}."
    request = wait_for_request(door)
    with refusing(request):
        if script is None:
            raise RefusedError(refusal)
        task, body = read_task(request)
        if bound is not None:
            bound.limit(task.threads + 1)
        mounts.complete(
            task,
            contents(task, body),
            {file.place: descriptor for file, descriptor in zip(task.shown, request.shown, strict=True)},
            (*view.bound_below(task.writable), *(own_packages() if task.sees_own_packages else ())),
        )
    attend(request, script, task, (*_NAMESPACES, *(["control-group-pids"] if bound else [])))


def try_out(outside: tuple[int, int]) -> Never:
    """Be the first process of new namespaces, and end with 0 if a sandbox could be built in them."""
    try:
        map_own_user(*outside, _INSIDE)
        mounts.try_out()
    except OSError:
        os._exit(1)
    os._exit(0)


def close_others(door: socket.socket, bound: Bound | None) -> None:
    """Close what was inherited, but for these and the three streams."""
    first = 3
    for descriptor in sorted({door.fileno(), *(bound.descriptors if bound else ())}):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, _MOST_DESCRIPTORS)


def make_script(space: int, resident: int) -> Script:
    """Fork the process that will be the script's; it waits for its task.

    Args:
        space: the address space that does not count against the errand's memory.
        resident: its memory.
    """
    ours, its = socket.socketpair()
    process = os.fork()
    if process == 0:
        try:
            ours.close()
            wait_and_run(its, space)
        finally:
            os._exit(1)
    its.close()
    return Script(process, os.pidfd_open(process), ours, resident)


def attend(request: Request, script: Script, task: Task, layers: tuple[str, ...]) -> Never:
    """Give up all privileges, let the script begin, wait for its end or the datasite's word, and tell what came of it.

    The folder of outputs is opened before the script begins, which may put a link in its place.
    """
    channel = request.channel
    with refusing(request):
        collected = os.open(task.collected, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        drop_capabilities()
        give_up_privileges()
        die_with_parent()
        socket.send_fds(script.line, [b"\0"], request.texts)
        write_frame(script.line.fileno(), Frame(task.canonical()))
        for descriptor in (*request.texts, *request.shown):
            os.close(descriptor)
    locked = _hear_locked(script)
    tell(channel, Locked(layers=(*layers, *locked.layers), refusal=locked.refusal))
    if locked.refusal is not None:
        os._exit(1)
    stopped = _wait(channel, script)
    ended = _end(script, task, stopped)
    tell(channel, ended)
    if not stopped:
        _bring_outputs(channel, task, collected)
    os._exit(0)


def _hear_locked(script: Script) -> Locked:
    try:
        header = read_frame(script.line.fileno(), maximum_body=0, deadline=_after(_LOCKING_SECONDS)).header
        return parse(Locked, header)
    except CloisterError:
        return Locked(layers=(), refusal="The script's process ended before it was locked down.")


def _end(script: Script, task: Task, stopped: bool) -> Ended:
    """End the script and whatever else is left in here."""
    with suppress(ProcessLookupError):
        os.kill(script.process, signal.SIGKILL)
    _, status, usage = os.wait4(script.process, 0)
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    cpu = usage.ru_utime + usage.ru_stime
    ending: HowEnded = "stopped"
    error = ""
    if not stopped:
        ending, error = _ending(status, cpu >= task.cpu_seconds, _last_word(script))
    return Ended(
        ending=ending,
        error=error,
        cpu_microseconds=round(cpu * 1e6),
        peak_memory_bytes=max(0, usage.ru_maxrss * 1024 - script.resident),
    )


def _wait(channel: int, script: Script) -> bool:
    """Whether the datasite wanted it stopped, or is gone."""
    poll = select.poll()
    poll.register(script.end, select.POLLIN)
    poll.register(channel, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll()}
    return script.end not in ready


def _last_word(script: Script) -> str:
    try:
        frame = read_frame(script.line.fileno(), maximum_body=0, deadline=_after(_LAST_WORD_SECONDS))
        return parse(Raised, frame.header).error
    except CloisterError:
        return "other"


def _ending(status: int, out_of_time: bool, error: str) -> tuple[HowEnded, str]:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        by_clock = number == signal.SIGXCPU or (number == signal.SIGKILL and out_of_time)
        return ("timed-out" if by_clock else "killed"), ""
    if error == "MemoryError":
        return "out-of-memory", ""
    return ("finished", "") if os.WEXITSTATUS(status) == 0 else ("failed", error or "other")


def _bring_outputs(channel: int, task: Task, folder: int) -> None:
    collection = Collection(folder, task.disk_bytes)
    for name, size, descriptor in collection.files():
        write_stream(channel, Content(name=name).canonical(), size, pieces(descriptor, size))
    tell(channel, collection.left_out.message())


def _after(seconds: float) -> float:
    return time.monotonic() + seconds
