"""P1, the end of a job: it ends when it is cancelled and when the datasite dies, and nothing of it remains."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sandbox_client import USERS, Sandbox, sandbox_of

BUSY = """
import os, signal, threading
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
for act in (os.fork, os.setsid):
    try:
        act()
    except OSError:
        pass
def spin():
    while True:
        pass
for _ in range(4):
    threading.Thread(target=spin, daemon=True).start()
open("outputs/begun", "w").write("x" * 1000)
spin()
"""


@pytest.fixture(params=USERS)
def own(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of this test's own, for it is killed."""
    with sandbox_of(request.param) as made:
        yield made


def descendants(process: int) -> set[int]:
    """The ids of all processes below one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def alive(process: int) -> bool:
    """Whether a process is there, and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def groups(zygote: int) -> list[Path]:
    """The control groups that a zygote made."""
    return list(Path("/sys/fs/cgroup").glob(f"**/cloister-{zygote}"))


def temporary_files(sandbox: Sandbox) -> list[str]:
    """Files that the sandbox's user has in folders for temporary ones."""
    user = sandbox.folder.stat().st_uid
    own = [str(path) for path in sandbox.folder.rglob("*") if ".cache" not in path.parts]
    shared = [path for folder in ("/tmp", "/dev/shm") for path in Path(folder).glob("*")]  # noqa: S108
    return own + [str(path) for path in shared if user != 0 and path != sandbox.folder and owner(path) == user]


def owner(path: Path) -> int:
    try:
        return path.lstat().st_uid
    except OSError:
        return -1


def begin(sandbox: Sandbox) -> set[int]:
    """Let it do an errand that never ends by itself; the processes of that errand."""
    assert sandbox.process.stdin is not None
    asked = sandbox.asked(BUSY, wall_seconds=60.0, cpu_seconds=60)
    sandbox.process.stdin.write(json.dumps(asked) + "\n")
    sandbox.process.stdin.flush()
    busy: set[int] = set()

    def begun() -> bool:
        busy.clear()
        busy.update(one for one in descendants(sandbox.zygote) if processor_seconds(one) > 0.05)
        return bool(busy)

    assert within(20, begun)
    return descendants(sandbox.server)


def processor_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    threads = len(list(Path(f"/proc/{process}/task").iterdir()))
    return int(fields[11]) / os.sysconf("SC_CLK_TCK") if threads > 4 else 0.0


def test_a_cancelled_errand_ends_within_two_seconds_with_all_that_it_started(sandbox: Sandbox) -> None:
    before = len(descendants(sandbox.zygote))
    begun = time.monotonic()
    outcome = sandbox.run(BUSY, cancel_after=1.0, wall_seconds=60.0, cpu_seconds=60)
    assert outcome.ending == "cancelled"
    assert (outcome.outputs, outcome.contents) == ([], {})
    assert time.monotonic() - begun < 3.0
    assert within(2, lambda: len(descendants(sandbox.zygote)) <= max(before, 2))
    assert sandbox.run("print(1)").stdout == "1\n"


@pytest.mark.parametrize("victim", ["zygote", "server"])
def test_all_dies_with_the_zygote_and_with_the_datasite(own: Sandbox, victim: str) -> None:
    processes = begin(own)
    assert len(processes) >= 3  # the zygote, the keeper and the script
    os.kill(getattr(own, victim), signal.SIGKILL)
    assert within(2, lambda: not any(map(alive, processes))), [one for one in processes if alive(one)]
    if victim == "zygote":
        assert own.process.stdout is not None
        assert json.loads(own.process.stdout.readline())["ending"] == "killed"
        assert own.run("print(1)").refusal.startswith("ConflictError")


def test_all_dies_with_the_keeper(own: Sandbox) -> None:
    processes = begin(own)
    keeper = next(one for one in descendants(own.zygote) if one in processes and descendants(one))
    below = descendants(keeper)
    os.kill(keeper, signal.SIGKILL)
    assert within(2, lambda: not any(map(alive, below)))
    assert own.process.stdout is not None
    assert json.loads(own.process.stdout.readline())["ending"] == "killed"
    assert own.run("print(1)").stdout == "1\n"


def test_nothing_remains_of_a_sandbox(own: Sandbox) -> None:
    mounts, files = Path("/proc/self/mountinfo").read_text(), temporary_files(own)
    assert own.run("open('outputs/x', 'w').write('x')").ending == "finished"
    assert own.run("import time\ntime.sleep(60)", wall_seconds=0.2).ending == "timed-out"
    assert own.run("import os\nos.kill(os.getpid(), 9)").ending == "killed"
    assert Path("/proc/self/mountinfo").read_text() == mounts
    processes = {own.server, *descendants(own.server)}
    assert own.process.stdin is not None
    own.process.stdin.close()
    own.process.wait()
    assert within(2, lambda: not any(map(alive, processes)))
    assert temporary_files(own) == files
    assert groups(own.zygote) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user makes no control groups")
def test_a_control_group_of_a_datasite_that_was_killed_is_taken_away_by_the_next() -> None:
    with sandbox_of("root") as killed:
        begin(killed)
        assert len(groups(killed.zygote)) == 1
        for process in (killed.server, killed.zygote):
            os.kill(process, signal.SIGKILL)
        killed.process.wait()
    with sandbox_of("root") as following:
        assert following.run("print(1)").ending == "finished"
    assert groups(killed.zygote) == []
