"""P1, a job's bombs: what approved Python does in the sandbox to use up memory, threads, disk, time and patience."""

import io
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from tests.sandbox_client import Sandbox

MEGABYTE = 2**20


def test_what_stays_within_its_limits_runs(sandbox: Sandbox) -> None:
    """The positive twin of all below: threads, memory, disk, output and time, up to just below each bound."""
    script = """
import threading, time
memory = bytearray(200 * 2**20)
threads = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(13)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
for folder, name in (("outputs", "one"), ("/tmp", "two"), ("/dev/shm", "three"), (".", "four")):
    with open(f"{folder}/{name}", "wb") as file:
        file.write(bytes(2 * 2**20))
print("x" * 50_000)
"""
    outcome = sandbox.run(script, memory_bytes=800 * MEGABYTE, threads=16, disk_bytes=9 * MEGABYTE, text_bytes=60_000)
    assert (outcome.ending, len(outcome.stdout)) == ("finished", 50_001), outcome.stderr
    assert [len(content) for content in outcome.contents.values()] == [2 * MEGABYTE]
    assert outcome.peak_memory_bytes > 100 * MEGABYTE


def test_a_bomb_of_threads(sandbox: Sandbox) -> None:
    script = """
import threading, time
started = 0
try:
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        started += 1
except RuntimeError:
    print(started, flush=True)
"""
    outcome = sandbox.run(script, threads=12, memory_bytes=8 * 2**30)
    assert outcome.ending == "finished", outcome.stderr
    assert 5 <= int(outcome.stdout) <= 12


def test_a_bomb_of_threads_with_small_stacks(sandbox: Sandbox) -> None:
    """No limit on memory is what stops it."""
    script = """
import _thread, threading, time
threading.stack_size(32768)
started = 0
try:
    for _ in range(5000):
        _thread.start_new_thread(time.sleep, (60,))
        started += 1
except RuntimeError:
    print(started, flush=True)
import os
os._exit(0)
"""
    outcome = sandbox.run(script, threads=20, memory_bytes=8 * 2**30)
    assert 10 <= int(outcome.stdout) <= 20


def test_a_bomb_of_processes(sandbox: Sandbox) -> None:
    script = """
import os
refused = 0
for _ in range(1000):
    try:
        os.fork()
    except OSError:
        refused += 1
print(refused)
"""
    assert sandbox.run(script).stdout == "1000\n"


@pytest.mark.parametrize(
    "script",
    [
        "kept = []\nwhile True: kept.append(bytearray(2**20))",
        "bytearray(2**40)",
        "import mmap\nkept = [mmap.mmap(-1, 2**24) for _ in range(300)]\nfor one in kept: one.write(bytes(2**24))",
        "import numpy\nnumpy.ones(2**31)",
    ],
    ids=["little by little", "at once", "shared", "as an array"],
)
def test_a_bomb_of_memory(sandbox: Sandbox, script: str) -> None:
    outcome = sandbox.run(script, memory_bytes=256 * MEGABYTE)
    assert outcome.ending == "out-of-memory", (outcome.ending, outcome.stderr)
    assert outcome.peak_memory_bytes < 2 * 2**30


def test_who_ends_first_when_the_machine_is_out_of_memory(sandbox: Sandbox) -> None:
    assert sandbox.run("print(1)").ending == "finished"
    adjustments = [Path("/proc", str(it), "oom_score_adj").read_text() for it in (sandbox.server, sandbox.zygote)]
    assert adjustments == [Path("/proc/self/oom_score_adj").read_text(), "1000\n"]


@pytest.mark.parametrize("folder", ["/job/code", "/job/code/outputs", "/tmp", "/dev/shm"])  # noqa: S108
def test_a_bomb_of_bytes_on_disk(sandbox: Sandbox, folder: str) -> None:
    script = f"""
written = 0
try:
    for number in range(1000):
        with open(f"{folder}/{{number}}", "wb", buffering=0) as file:
            for _ in range(16):
                written += file.write(bytes(2**20))
except OSError as error:
    print(written, error.errno)
"""
    outcome = sandbox.run(script, disk_bytes=20 * MEGABYTE)
    written, error = map(int, outcome.stdout.split())
    assert written <= 21 * MEGABYTE
    assert error == 28  # no space left on device


def test_a_bomb_of_bytes_spread_over_all_folders_is_counted_together(sandbox: Sandbox) -> None:
    script = """
written = 0
for number in range(100):
    for folder in ("/job/code", "/tmp", "/dev/shm", "/job/code/outputs"):
        try:
            with open(f"{folder}/{number}", "wb", buffering=0) as file:
                written += file.write(bytes(2**20))
        except OSError:
            pass
print(written)
"""
    assert int(sandbox.run(script, disk_bytes=20 * MEGABYTE).stdout) <= 21 * MEGABYTE


def test_a_bomb_of_empty_files(sandbox: Sandbox) -> None:
    script = """
import os
made = 0
try:
    for number in range(100_000):
        os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError as error:
    print(made, error.errno)
"""
    made, error = map(int, sandbox.run(script, disk_bytes=2**30).stdout.split())
    assert made <= 20_000
    assert error == 28


@pytest.mark.parametrize("folder", ["/", "/etc", "/usr/lib", "/dev", "/job", "/box"])
def test_nothing_is_written_but_where_it_may_be(sandbox: Sandbox, folder: str) -> None:
    script = f"open({folder + '/new'!r}, 'w')"
    outcome = sandbox.run(script, files={"/box/data.csv": b"1\n"})
    assert outcome.error in ("OSError", "PermissionError")
    script = "open('/box/data.csv', 'a')"
    assert sandbox.run(script, files={"/box/data.csv": b"1\n"}).error in ("OSError", "PermissionError")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output(sandbox: Sandbox, stream: str) -> None:
    begun = time.monotonic()
    outcome = sandbox.run(f"import sys\nwhile True: sys.{stream}.write('x' * 1000)", text_bytes=100_000)
    assert outcome.ending == "too-much-output"
    assert len(getattr(outcome, stream)) == 100_000
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "script",
    [
        "import time\ntime.sleep(60)",
        "while True: pass",
        "import signal, time\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\ntime.sleep(60)",
        "import atexit, time\natexit.register(time.sleep, 60)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
        "import sys, time\nsys.stdout.close()\nsys.stderr.close()\ntime.sleep(60)",
        "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
    ],
    ids=["sleeps", "computes", "ignores signals", "at its exit", "in a thread", "without streams", "in C"],
)
def test_a_script_that_never_ends_is_ended_by_the_clock(sandbox: Sandbox, script: str) -> None:
    begun = time.monotonic()
    outcome = sandbox.run(script, wall_seconds=0.5)
    assert outcome.ending == "timed-out"
    assert outcome.outputs == []
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize("ignores", [False, True])
def test_a_script_that_computes_too_long_is_ended_by_the_processors_clock(sandbox: Sandbox, ignores: bool) -> None:
    script = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n" if ignores else ""
    outcome = sandbox.run(script + "while True: pass", cpu_seconds=1)
    assert outcome.ending == "timed-out"
    assert 0.9 < outcome.cpu_seconds < 3


def zip_bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100 * MEGABYTE))
    return content.getvalue()


def parquet_bomb() -> bytes:
    content = io.BytesIO()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 4 * MEGABYTE]))
    parquet.write_table(pa.table({"text": column}), content, compression="zstd")
    return content.getvalue()


@pytest.mark.parametrize(
    ("bomb", "script"),
    [
        (zip_bomb, "import zipfile\nzipfile.ZipFile('/box/bomb').extractall('/tmp')"),
        (parquet_bomb, "import pandas\npandas.read_parquet('/box/bomb').astype(str).to_csv('/dev/shm/x')"),
    ],
    ids=["zip", "parquet"],
)
def test_a_file_that_unfolds_without_end(sandbox: Sandbox, bomb, script: str) -> None:
    content = bomb()
    assert len(content) < 2 * MEGABYTE
    outcome = sandbox.run(script, files={"/box/bomb": content}, memory_bytes=128 * MEGABYTE)
    assert outcome.ending in ("out-of-memory", "failed", "killed"), outcome.ending
    assert outcome.peak_memory_bytes < 2 * 2**30
    assert sandbox.run("print(1)").ending == "finished"
