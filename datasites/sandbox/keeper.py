"""The keeper: the first process of an errand's own world. It builds that world, keeps the script, brings the outputs.

It is our code and holds no secret. When it ends, by whatever cause, the kernel ends all that is left in there.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Never

from datasites.sandbox import mounts
from datasites.sandbox.control_group import Bound
from datasites.sandbox.environment import own_packages, standing_view
from datasites.sandbox.frames import Frame, read_frame, write_frame, write_stream
from datasites.sandbox.kernel import die_with_parent, drop_capabilities, give_up_privileges, map_own_user
from datasites.sandbox.limits import memory_in_use
from datasites.sandbox.messages import MOST_SHOWN, Content, Ended, HowEnded, Locked, Raised, Task, parse
from datasites.sandbox.outputs import Collection, pieces
from datasites.sandbox.script import wait_and_run
from policies.errors import CloisterError, InvalidInputError, UnavailableError
from policies.statements.schema import StrictModel, as_text

MOST_FILE_BYTES = 2**30
"""All files of an errand together, as they come in one message."""

_INSIDE = 1000
_MOST_DESCRIPTORS = 2**16
_NAMESPACES = (
    "user-namespace", "mount-namespace", "pid-namespace", "network-namespace", "ipc-namespace", "uts-namespace",
    "cgroup-namespace",
)  # fmt: skip
_LOCKING_SECONDS = 20.0
_LAST_WORD_SECONDS = 0.2


@dataclass(frozen=True)
class _Script:
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
    _close_others(door, bound)
    layers: tuple[str, ...] = _NAMESPACES
    refusal = None
    script = None
    try:
        if bound is not None:
            bound.enter()
            layers = (*layers, "control-group-pids")
        map_own_user(*outside, _INSIDE)
        die_with_parent()
        space, resident = memory_in_use()
        mounts.build_standing(standing_view())
        os.chdir("/")
        script = _make_script(space, resident)
    except (CloisterError, OSError) as error:
        refusal = f"The sandbox could not be built: {error}."
    _, descriptors, _, _ = socket.recv_fds(door, 1, 3 + MOST_SHOWN)
    if len(descriptors) < 3:
        os._exit(0)  # the zygote ended
    door.close()
    channel, texts, shown = descriptors[0], descriptors[1:3], descriptors[3:]
    try:
        if script is None:
            raise InvalidInputError(refusal or "The sandbox could not be built.")
        task, collected = _complete(channel, texts, shown, script, bound)
    except (CloisterError, OSError) as error:
        _tell(channel, Locked(layers=(), refusal=as_text(str(error))))
        os._exit(1)
    _attend(channel, script, task, collected, layers)


def _close_others(door: socket.socket, bound: Bound | None) -> None:
    kept = sorted({door.fileno(), *(bound.descriptors if bound else ())})
    first = 3
    for descriptor in kept:
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, _MOST_DESCRIPTORS)


def _make_script(space: int, resident: int) -> _Script:
    """Fork the process that will be the script's; it waits for its task."""
    ours, its = socket.socketpair()
    process = os.fork()
    if process == 0:
        try:
            ours.close()
            wait_and_run(its, space)
        finally:
            os._exit(1)
    its.close()
    return _Script(process, os.pidfd_open(process), ours, resident)


def _complete(
    channel: int, texts: list[int], shown: list[int], script: _Script, bound: Bound | None
) -> tuple[Task, int]:
    """Take the errand, finish its file tree, give up all privileges, and hand the task to the script's process.

    The folder of outputs is opened before the script begins, which may put a link in its place.
    """
    frame = read_frame(channel, maximum_body=MOST_FILE_BYTES)
    task = parse(Task, frame.header)
    if len(shown) != len(task.shown) or sum(file.size for file in task.files) != len(frame.body):
        raise InvalidInputError("The errand does not hold as many bytes or open files as it announces.")
    if bound is not None:
        bound.limit(task.threads + 1)
    places = {file.place: descriptor for file, descriptor in zip(task.shown, shown, strict=True)}
    sees_ours = task.packages or task.program == "inspection"
    mounts.complete(task, _contents(task, memoryview(frame.body)), places, own_packages() if sees_ours else ())
    for descriptor in shown:
        os.close(descriptor)
    collected = os.open(task.collected, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    drop_capabilities()
    give_up_privileges()
    die_with_parent()
    socket.send_fds(script.line, [b"\0"], texts)
    write_frame(script.line.fileno(), Frame(frame.header))
    for descriptor in texts:
        os.close(descriptor)
    return task, collected


def _contents(task: Task, body: memoryview) -> Mapping[str, memoryview]:
    contents = {}
    for file in task.files:
        contents[file.place], body = body[: file.size], body[file.size :]
    return contents


def _attend(channel: int, script: _Script, task: Task, collected: int, layers: tuple[str, ...]) -> Never:
    """Wait until the script ends or the datasite wants it to, end what is left, and tell what there is to tell."""
    try:
        locked = parse(
            Locked, read_frame(script.line.fileno(), maximum_body=0, deadline=_after(_LOCKING_SECONDS)).header
        )
    except CloisterError:
        locked = Locked(layers=(), refusal="The script's process ended before it was locked down.")
    _tell(channel, Locked(layers=(*layers, *locked.layers), refusal=locked.refusal))
    if locked.refusal is not None:
        os._exit(1)
    stopped = _wait(channel, script)
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
    _tell(
        channel,
        Ended(
            ending=ending,
            error=error,
            cpu_microseconds=round(cpu * 1e6),
            peak_memory_bytes=max(0, usage.ru_maxrss * 1024 - script.resident),
        ),
    )
    if not stopped:
        _bring_outputs(channel, task, collected)
    os._exit(0)


def _wait(channel: int, script: _Script) -> bool:
    """Whether the datasite wanted it stopped, or is gone."""
    poll = select.poll()
    poll.register(script.end, select.POLLIN)
    poll.register(channel, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll()}
    return script.end not in ready


def _last_word(script: _Script) -> str:
    try:
        frame = read_frame(script.line.fileno(), maximum_body=0, deadline=_after(_LAST_WORD_SECONDS))
        return parse(Raised, frame.header).error
    except CloisterError:
        return "other"


def _ending(status: int, out_of_time: bool, error: str) -> tuple[HowEnded, str]:
    if os.WIFSIGNALED(status):
        by_clock = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) and out_of_time
        return ("timed-out" if by_clock else "killed"), ""
    if error == "MemoryError":
        return "out-of-memory", ""
    return ("finished", "") if os.WEXITSTATUS(status) == 0 else ("failed", error or "other")


def _bring_outputs(channel: int, task: Task, folder: int) -> None:
    collection = Collection(folder, task.disk_bytes)
    for name, size, descriptor in collection.files():
        write_stream(channel, Content(name=name).canonical(), size, pieces(descriptor, size))
    _tell(channel, collection.left_out.message())


def _tell(channel: int, message: StrictModel) -> None:
    with suppress(UnavailableError, OSError):
        write_frame(channel, Frame(message.canonical()))


def _after(seconds: float) -> float:
    return time.monotonic() + seconds
