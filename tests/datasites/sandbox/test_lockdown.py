"""A locked-down process, tried from inside: what it can still do, and what happens when it does more."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PREFIX = """
import ctypes, mmap, os, resource, select, signal, socket, subprocess, sys, threading, time
from datasites.sandbox.lockdown import lock_down
libc = ctypes.CDLL(None, use_errno=True)
victim, folder = int(sys.argv[1]), sys.argv[2]
opened = os.open(folder, os.O_RDONLY)
layers = lock_down(2**30)
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` after the lockdown, with a process it may try to hurt and a folder with a key it may try to read."""
    (folder / "key.pem").write_text("private")
    victim = subprocess.Popen(["sleep", "60"])
    try:
        done = subprocess.run(
            [sys.executable, "-c", PREFIX + code, str(victim.pid), str(folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert victim.poll() is None, "the victim was hurt"
    finally:
        victim.kill()
        victim.wait()
    assert (folder / "key.pem").read_text() == "private"
    assert [entry.name for entry in folder.iterdir()] == ["key.pem"]
    return done


def test_it_can_still_compute_and_use_threads_and_its_open_pipes(tmp_path: Path) -> None:
    code = """
done = []
worker = threading.Thread(target=lambda: done.append(sum(range(10**6)))); worker.start(); worker.join()
mmap.mmap(-1, 2**20); os.urandom(32); time.sleep(0.01); os.getpid(); select.poll().poll(0)
print(*layers, done[0])
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"resource-limits", "no-new-privileges", "seccomp"} <= set(done.stdout.split())
    assert done.stdout.split()[-1] == "499999500000"


@pytest.mark.parametrize(
    "attempt",
    [
        "open(folder + '/key.pem').read()",
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        "open('/proc/%d/mem' % os.getppid()).read()",
        "open(folder + '/new', 'w')",
        "os.open('key.pem', os.O_RDONLY, dir_fd=opened)",
        "os.stat(folder + '/key.pem')",
        "os.listdir(folder)",
        "os.listdir(opened) and os.stat('key.pem', dir_fd=opened)",
        "os.unlink(folder + '/key.pem')",
        "os.rename(folder + '/key.pem', folder + '/other')",
        "os.mkdir(folder + '/new')",
        "os.symlink('/', folder + '/new')",
        "os.chmod(folder + '/key.pem', 0o777)",
        "os.truncate(folder + '/key.pem', 0)",
        "os.readlink('/proc/self/exe')",
        "os.chdir('/tmp')",
        "os.setuid(0)",
        "os.nice(-5)",
        "os.pipe()",
        "os.mkfifo(folder + '/new')",
        "resource.setrlimit(resource.RLIMIT_CORE, (1, 1))",
        "bytearray(2**31)",
    ],
)
def test_files_and_limits_are_out_of_reach(attempt: str, tmp_path: Path) -> None:
    code = f"""
try:
    {attempt}
except (OSError, MemoryError, ValueError) as error:
    print("denied", type(error).__name__)
else:
    print("done")
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("denied"), done.stdout


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "socket.socket(socket.AF_UNIX)",
        "socket.socketpair()",
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "os.kill(victim, signal.SIGKILL)",
        "os.kill(os.getppid(), signal.SIGKILL)",
        "os.pidfd_open(victim)",
        "os.memfd_create('x')",
        "libc.ptrace(16, victim, 0, 0)",
        "libc.process_vm_readv(victim, None, 0, None, 0, 0)",
        "libc.unshare(0x10000000)",
        "libc.mount(b'none', b'/mnt', b'tmpfs', 0, None)",
        "libc.syscall(425, 8, None)",
        "libc.syscall(0x40000000 | 39)",
    ],
)
def test_network_programs_and_other_processes_mean_death(attempt: str, tmp_path: Path) -> None:
    done = run(f"{attempt}\nprint('survived')", tmp_path)
    assert done.returncode == -signal.SIGSYS, (done.returncode, done.stdout, done.stderr)
    assert "survived" not in done.stdout


def test_threads_made_later_are_locked_down_too(tmp_path: Path) -> None:
    done = run("threading.Thread(target=socket.socket).start(); time.sleep(5); print('survived')", tmp_path)
    assert done.returncode == -signal.SIGSYS


def test_a_process_with_threads_is_refused(tmp_path: Path) -> None:
    code = PREFIX.replace("layers =", "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\nlayers =")
    done = subprocess.run(
        [sys.executable, "-c", code, "1", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "several threads" in done.stderr


def test_landlock_and_the_network_namespace_hold_without_the_filter(tmp_path: Path) -> None:
    code = """
import encodings.idna
from datasites.sandbox import seccomp
seccomp.install = lambda code: None
layers = lock_down(2**30)
def denied(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False
if any(layer.startswith("landlock") for layer in layers):
    assert denied(lambda: open(folder + "/key.pem"))
    assert denied(lambda: os.open("key.pem", os.O_RDONLY, dir_fd=opened))
    assert denied(lambda: open(folder + "/new", "w"))
    assert denied(lambda: os.unlink(folder + "/key.pem"))
    assert denied(lambda: os.execv("/bin/true", ["true"]))
if "network-namespace" in layers:
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    assert denied(lambda: socket.create_connection(("127.0.0.1", 1)))
    assert denied(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.0.0.1", 9)))
print("held", *layers)
"""
    (tmp_path / "key.pem").write_text("private")
    start = PREFIX.replace("layers = lock_down(2**30)", "")
    done = subprocess.run(
        [sys.executable, "-c", start + code, "1", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("held"), done.stderr


def test_the_mount_namespace_holds_without_the_filter_and_landlock(tmp_path: Path) -> None:
    code = """
from datasites.sandbox import landlock, seccomp
seccomp.install, landlock.restrict = (lambda code: None), (lambda: 0)
layers = lock_down(2**30)
if "mount-namespace" in layers:
    assert os.listdir("/") == []
    for attempt in (lambda: open(folder + "/key.pem"), lambda: os.mkdir("/new"), lambda: os.listdir("/proc")):
        try:
            attempt()
        except OSError:
            continue
        raise AssertionError
print("held", *layers)
"""
    (tmp_path / "key.pem").write_text("private")
    start = PREFIX.replace("layers = lock_down(2**30)", "")
    done = subprocess.run(
        [sys.executable, "-c", start + code, "1", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("held"), done.stderr


def test_without_seccomp_nothing_runs(tmp_path: Path) -> None:
    code = PREFIX.replace("layers =", "import platform; platform.machine = lambda: 'mips'\nlayers =") + "print('ran')"
    done = subprocess.run(
        [sys.executable, "-c", code, "1", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "RefusedError" in done.stderr
    assert "ran" not in done.stdout
