"""The errand's own process: puts the last walls around itself, then runs the script as `python script` would."""

import atexit
import contextlib
import errno
import importlib
import io
import logging
import os
import socket
import sys
import tempfile
import threading
import traceback
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from datasites.sandbox import landlock, seccomp
from datasites.sandbox.call_rules import job_rules
from datasites.sandbox.environment import DEVICES, OWN_NAMES, OWN_PACKAGES
from datasites.sandbox.errand import ERRORS
from datasites.sandbox.frames import Frame, read_frame, write_frame
from datasites.sandbox.kernel import drop_capabilities, give_up_privileges
from datasites.sandbox.limits import limit_resources, share_memory_among_threads
from datasites.sandbox.messages import Locked, Raised, Task, parse
from policies.errors import CloisterError
from policies.statements.schema import as_text

_TO_KEEPER = 3
_MOST_DESCRIPTORS = 2**16
_OPEN_FILES = 512
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 – the errand's own
    "TMPDIR": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def wait_and_run(keeper: socket.socket, address_space: int) -> Never:
    """Wait for the keeper's task, lock this process down, and run it.

    Args:
        address_space: what does not count against the errand's memory.
    """
    ready = _get_ready()
    _, descriptors, _, _ = socket.recv_fds(keeper, 1, 2)
    if len(descriptors) != 2:
        os._exit(1)
    task = parse(Task, read_frame(keeper.fileno(), maximum_body=0).header)
    _arrange_descriptors(keeper, *descriptors)
    try:
        _arrange_interpreter(task, ready)
        layers = _lock_down(task, ready, address_space)
    except (CloisterError, OSError, ValueError) as error:
        _tell(Locked(layers=(), refusal=as_text(f"The last walls of the sandbox could not be put up: {error}")))
        os._exit(1)
    _tell(Locked(layers=layers, refusal=None))
    _end(_run(task))


@dataclass(frozen=True)
class _Ready:
    """What was done ahead of the errand: the compiled filter, and our own modules, which were put aside."""

    filter: bytes
    own_modules: dict[str, types.ModuleType]


def _get_ready() -> _Ready:
    """Do ahead whatever is the same for all errands. The first use of anything after a fork is slow."""
    os.setsid()
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    tempfile.tempdir = None
    atexit._clear()  # what packages registered in the zygote took longer than most scripts
    atexit.register(logging.shutdown)
    if (
        "numpy" in sys.modules
    ):  # forks of one zygote would otherwise draw the same numbers; Python itself sees to its own
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()
    own = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in OWN_NAMES}
    for name in own:
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry != str(OWN_PACKAGES)]
    return _Ready(seccomp.compiled(job_rules(os.getpid())), own)


def _arrange_descriptors(keeper: socket.socket, output: int, errors: int) -> None:
    """Standard input is empty, output and errors go to the datasite, 3 to the keeper; nothing else is open."""
    high = [os.dup(number) for number in (os.open("/dev/null", os.O_RDONLY), output, errors, keeper.detach())]
    for place in range(4):
        os.dup2(high[place], place)
    os.closerange(_TO_KEEPER + 1, _MOST_DESCRIPTORS)


def _arrange_interpreter(task: Task, ready: _Ready) -> None:
    """As it would be after a start of its own: environment, streams, paths, and fresh random numbers."""
    os.environ.update(task.environment)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0)), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w")), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    sys.argv = [task.script]
    if task.sees_own_packages:
        sys.modules.update(ready.own_modules)
        sys.path.append(str(OWN_PACKAGES))
    if task.program == "script":
        sys.path.insert(0, str(Path(task.script).parent))
    os.chdir(task.working_folder)
    if "torch" in sys.modules:
        torch: Any = sys.modules["torch"]
        torch.set_num_threads(max(1, min(task.threads // 2, len(os.sched_getaffinity(0)))))


def _lock_down(task: Task, ready: _Ready, address_space: int) -> tuple[str, ...]:
    drop_capabilities()
    give_up_privileges()
    share_memory_among_threads()
    limit_resources(
        memory_bytes=address_space + task.memory_bytes,
        open_files=_OPEN_FILES,
        file_bytes=task.disk_bytes,
        cpu_seconds=task.cpu_seconds,
        tasks=task.threads + 1,
    )
    devices = [device for device in DEVICES if Path(device).exists()]
    version = landlock.restrict(readable=("/",), writable=task.writable, devices=devices)
    seccomp.install(ready.filter)
    return ("resource-limits", "no-new-privileges", *([f"landlock-{version}"] if version else []), "seccomp")


def _run(task: Task) -> tuple[int, str]:
    """Run it; its exit status, and the class of the error by which it ended."""
    try:
        if task.program == "script":
            _run_file(task.script)
        else:
            importlib.import_module("datasites.inspection.main").main()
    except SystemExit as ending:
        return _status(ending.code)
    except BaseException as error:  # noqa: BLE001 – whatever the script raises, it is reported as Python would
        return 1, _report(error)
    return 0, ""


def _run_file(script: str) -> None:
    main = types.ModuleType("__main__")
    main.__file__ = script
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = main
    exec(compile(Path(script).read_bytes(), script, "exec", dont_inherit=True), main.__dict__)  # noqa: S102


def _status(code: object) -> tuple[int, str]:
    if code is None or code == 0:
        return 0, ""
    if not isinstance(code, int):
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{code}\n")
    return 1, "SystemExit"


def _report(error: BaseException) -> str:
    own_frames = 2
    trace = error.__traceback__
    for _ in range(own_frames):
        trace = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    with contextlib.suppress(OSError, ValueError, MemoryError):
        traceback.print_exception(type(error), error, trace)
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):  # torch's way of saying it
        return "MemoryError"
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return "MemoryError"
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS), "other")


def _end(ending: tuple[int, str]) -> Never:
    """Do what Python does at its end, but leave the memory to the kernel, which is faster."""
    status, error = ending
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 – a broken exit handler does not undo the script's own ending
        status, error = status or 1, error or "other"
    _tell(Raised(error=error))
    os._exit(status)


def _tell(message: Locked | Raised) -> None:
    with contextlib.suppress(OSError, CloisterError):
        write_frame(_TO_KEEPER, Frame(message.canonical()))
