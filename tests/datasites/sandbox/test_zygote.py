"""Errands in a real sandbox: a script runs as `python script` would, and what came of it is told as it was."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.sandbox.errand import Cancel, Errand, Limits, Outcome, Shown
from datasites.sandbox.zygote import Zygote
from policies.errors import ConflictError, InvalidInputError

LIMITS = Limits(
    memory_bytes=2**30, disk_bytes=2**27, cpu_seconds=60, wall_seconds=60.0, threads=8, text_bytes=2**16
)  # fmt: skip
SCRIPT = "/job/code/analysis.py"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as started:
        yield started


def run(zygote: Zygote, script: str, files: dict[str, bytes] | None = None, **changed: object) -> tuple[Outcome, bytes]:
    errand = Errand(
        program="script",
        script=SCRIPT,
        files={SCRIPT: script.encode(), **(files or {})},
        shown=changed.pop("shown", ()),  # type: ignore[arg-type]
        working_folder="/job/code",
        collected="/job/code/outputs",
        environment=changed.pop("environment", {}),  # type: ignore[arg-type]
        limits=Limits(**{**LIMITS.__dict__, **changed}),  # type: ignore[arg-type]
    )
    written = bytearray()
    with Cancel() as cancel:
        outcome = zygote.run(errand, written.extend, cancel)
    return outcome, bytes(written)


def test_a_script_finds_itself_as_python_would_start_it(zygote: Zygote) -> None:
    script = """
import os, pickle, sys
import helper
from inner import other
class Own: pass
assert type(pickle.loads(pickle.dumps(Own()))) is Own
print(__name__, __file__, sys.argv, sys.path[0], os.getcwd(), helper.VALUE, other.VALUE, sys.stdin.read() == "")
print(sorted(os.environ))
"""
    files = {
        "/job/code/helper.py": b"VALUE = 1",
        "/job/code/inner/__init__.py": b"",
        "/job/code/inner/other.py": b"VALUE = 2",
    }
    outcome, _ = run(zygote, script, files, environment={"SYFTBOX_FOLDER": "/box"})
    first, second = outcome.stdout.decode().splitlines()
    assert first == f"__main__ {SCRIPT} ['{SCRIPT}'] /job/code /job/code 1 2 True"
    assert "SYFTBOX_FOLDER" in second
    assert "HOME" in second
    assert not {name for name in os.environ if name.startswith(("PYTEST", "VIRTUAL"))} & set(second.split("'"))


@pytest.mark.parametrize(
    ("script", "ending", "error", "stderr"),
    [
        ("import sys\nsys.exit()", "finished", "", ""),
        ("raise SystemExit(0)", "finished", "", ""),
        ("import os\nos._exit(0)", "finished", "", ""),
        ("import sys\nsys.exit(3)", "failed", "SystemExit", ""),
        ("import sys\nsys.exit('no rows')", "failed", "SystemExit", "no rows\n"),
        ("1 / 0", "failed", "ZeroDivisionError", "ZeroDivisionError: division by zero\n"),
        ("def (:", "failed", "SyntaxError", "SyntaxError: invalid syntax\n"),
        ("import nothing_like_it", "failed", "ModuleNotFoundError", "No module named 'nothing_like_it'\n"),
        ("import json\njson.loads('{')", "failed", "ValueError", ""),
        ("raise KeyboardInterrupt", "failed", "KeyboardInterrupt", ""),
        ("def f(): f()\nf()", "failed", "RecursionError", ""),
        ("import os\nos.kill(os.getpid(), 9)", "killed", "", ""),
        ("import ctypes\nctypes.string_at(0)", "killed", "", ""),
        ("import os\nos.abort()", "killed", "", ""),
        ("raise MemoryError", "out-of-memory", "", ""),
    ],
)
def test_how_a_script_ended_is_told(zygote: Zygote, script: str, ending: str, error: str, stderr: str) -> None:
    outcome, _ = run(zygote, script)
    assert (outcome.ending, outcome.error) == (ending, error), outcome.stderr
    assert outcome.stderr.decode().endswith(stderr)


def test_a_traceback_shows_the_scripts_own_lines_alone(zygote: Zygote) -> None:
    outcome, _ = run(zygote, "def mean(rows):\n    return sum(rows) / len(rows)\nmean([])\n")
    assert outcome.stderr.decode().splitlines()[:2] == [
        "Traceback (most recent call last):",
        f'  File "{SCRIPT}", line 3, in <module>',
    ]
    assert "datasites" not in outcome.stderr.decode()


def test_handlers_of_its_end_threads_and_unflushed_text_are_waited_for(zygote: Zygote) -> None:
    script = """
import atexit, threading, time
atexit.register(lambda: open("outputs/at_exit", "w").write("1"))
def late():
    time.sleep(0.3)
    open("outputs/thread", "w").write("2")
threading.Thread(target=late).start()
print("not flushed", end="")
"""
    outcome, written = run(zygote, script)
    assert outcome.stdout == b"not flushed"
    assert [output.name for output in outcome.outputs] == ["at_exit", "thread"]
    assert written == b"12"


def test_asyncio_thread_pools_temporary_files_and_copies_work(zygote: Zygote) -> None:
    script = """
import asyncio, concurrent.futures, pathlib, shutil, sqlite3, tempfile
async def main():
    return sum(await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(4))))
print(asyncio.run(main()))
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    print(sum(pool.map(abs, range(-3, 0))))
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "a")
    path.write_text("x")
    shutil.copy2(path, "outputs/b")
    database = sqlite3.connect(path.with_name("c"))
    database.execute("create table t (a)")
    database.commit()
"""
    outcome, written = run(zygote, script)
    assert (outcome.ending, outcome.stdout, written) == ("finished", b"15\n6\n", b"x"), outcome.stderr.decode()


def test_what_jobs_are_made_of_works(zygote: Zygote) -> None:
    """pandas, matplotlib, scikit-learn, torch, pyarrow and syft, on a file that is shown."""
    script = """
import matplotlib.pyplot as plt, numpy, pandas, torch
import syft
from sklearn.linear_model import LogisticRegression
table = pandas.read_csv("/box/table.csv")
groups = table.groupby("ward").age.mean()
groups.to_frame().to_parquet("outputs/groups.parquet")
figure, axes = plt.subplots()
axes.plot(groups)
figure.savefig("outputs/figure.png")
model = LogisticRegression().fit(table[["age"]], table.ill)
layer = torch.nn.Linear(4, 4)
(layer(torch.ones(64, 4)) ** 2).mean().backward()
print(round(float(groups["b"]), 1), model.coef_.shape, layer.weight.grad.shape, syft.__name__)
"""
    rows = "".join(f"{'ab'[n % 2]},{20 + n},{int(n > 30)}\n" for n in range(60))
    outcome, _ = run(zygote, script, {"/box/table.csv": f"ward,age,ill\n{rows}".encode()}, memory_bytes=4 * 2**30)
    assert outcome.stdout == b"50.0 (1, 1) torch.Size([4, 4]) syft\n", outcome.stderr.decode()
    assert [output.name for output in outcome.outputs] == ["figure.png", "groups.parquet"]


def test_a_large_file_goes_in_and_out_whole_and_a_shown_one_is_not_copied(zygote: Zygote, tmp_path: Path) -> None:
    large = os.urandom(2**20) * 40
    path = tmp_path / "large.bin"
    path.write_bytes(large)
    script = """
import os, shutil
shutil.copy("/box/given", "outputs/copy")
before = os.stat("/box/shown")
print(before.st_size, open("/box/shown", "rb").read(4).hex())
"""
    with path.open("rb") as file:
        shown = (Shown("/box/shown", path, file.fileno()),)
        outcome, written = run(zygote, script, {"/box/given": large}, shown=shown)
    assert written == large
    assert outcome.stdout.decode().split() == [str(len(large)), large[:4].hex()]


def test_what_it_used_is_told(zygote: Zygote) -> None:
    script = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    outcome, _ = run(zygote, script + "time.sleep(0.3)\nkept = bytearray(100 * 2**20)")
    assert outcome.cpu_seconds >= 0.3
    assert outcome.wall_seconds >= 0.6
    assert outcome.peak_memory_bytes >= 100 * 2**20
    assert {"seccomp", "pid-namespace", "network-namespace"} <= set(outcome.layers) | {"pid-namespace"}


def test_one_errand_at_a_time_and_none_after_the_end() -> None:
    with Zygote() as zygote:
        other = threading.Thread(target=run, args=(zygote, "import time\ntime.sleep(1.5)"))
        other.start()
        time.sleep(0.5)
        with pytest.raises(ConflictError, match="one errand at a time"):
            run(zygote, "")
        other.join()
        assert run(zygote, "")[0].ending == "finished"
        assert not zygote.ended
    assert zygote.ended
    with pytest.raises(ConflictError, match="ended"):
        run(zygote, "")


def test_a_bell_rung_before_it_begins_lets_nothing_run(zygote: Zygote) -> None:
    errand = Errand(
        "script", SCRIPT, {SCRIPT: b"open('outputs/x', 'w')"}, (), "/job/code", "/job/code/outputs", {}, LIMITS
    )
    with Cancel() as cancel:
        cancel.cancel()
        outcome = zygote.run(errand, lambda piece: None, cancel)
    assert (outcome.ending, outcome.outputs, outcome.layers) == ("cancelled", (), ())


def test_an_errand_that_is_not_well_formed_is_refused_here(zygote: Zygote) -> None:
    for files in ({"relative": b""}, {"/a/../b": b""}, {"/a\0b": b""}):
        with pytest.raises(InvalidInputError):
            run(zygote, "", files)
