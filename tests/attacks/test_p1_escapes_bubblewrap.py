"""P1, a job's escapes where the sandbox is made by bubblewrap: the same acts fail, and the same bounds hold."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.attacks.escape_acts import AS_ROOT, FILES, NETWORK, PROCESSES, START, Outside
from tests.ordinary_user import ROOT
from tests.sandbox_client import USERS, Sandbox, sandbox_of

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
DEADLY = ("call in the 32-bit form",)  # it ends the script; the other way's test has it


@pytest.fixture(scope="module", params=USERS)
def wrapped(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with sandbox_of(request.param, by_bubblewrap=True) as made:
        yield made


def test_every_escape_fails(wrapped: Sandbox) -> None:
    key = wrapped.keep("key.pem", b"private")
    acts = {name: act for name, act in (FILES | PROCESSES | NETWORK | AS_ROOT).items() if name not in DEADLY}
    outside = Outside(wrapped.server, str(key), 9, str(wrapped.folder / "socket"))
    loop = f"""
for name, act in {acts!r}.items():
    try:
        exec(act)
    except BaseException as error:
        continue
    print(name)
print("end")
"""
    outcome = wrapped.run(START.format(**outside.__dict__, inside=True) + loop)
    assert outcome.stdout == "end\n", outcome
    assert {"bubblewrap", "network-namespace", "pid-namespace", "seccomp"} <= set(outcome.layers)


def test_the_same_bounds_hold(wrapped: Sandbox) -> None:
    script = """
import os, threading, time
written = 0
for folder in ("/job/code", "/tmp", "/dev/shm", "/job/code/outputs", "/", "/etc", "/box"):
    try:
        for number in range(40):
            with open(f"{folder}/{number}", "wb", buffering=0) as file:
                written += file.write(bytes(2**20))
            if folder.endswith("outputs"):
                os.unlink(f"{folder}/{number}")
    except OSError:
        pass
started = 0
try:
    for _ in range(100):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        started += 1
except RuntimeError:
    pass
print(written <= 21 * 2**20, started, open("/box/data.csv").read(), open("/box/private.csv").read())
"""
    table = wrapped.keep("private.csv", b"private")
    outcome = wrapped.run(
        script,
        files={"/box/data.csv": b"mock"},
        shown={"/box/private.csv": table},
        disk_bytes=20 * 2**20,
        threads=10,
        memory_bytes=2**31,
    )
    fits, started, mock, private = outcome.stdout.split()
    assert (fits, mock, private) == ("True", "mock", "private")
    assert 4 <= int(started) <= 10
    assert wrapped.run("while True: pass", wall_seconds=0.5).ending == "timed-out"
    assert wrapped.run("x = bytearray(2**40)").ending == "out-of-memory"


def test_outputs_come_out_and_an_exchanged_file_does_not_come_in(wrapped: Sandbox) -> None:
    outcome = wrapped.run("import os\nopen('outputs/a', 'w').write('1')\nos.symlink('/', 'outputs/b')")
    assert (outcome.contents, outcome.left_out) == ({"a": b"1"}, ["1 link"])
    checked, other = wrapped.keep("checked.csv", b"1"), wrapped.keep("other.csv", b"2")
    refused = wrapped.run("print(1)", shown={"/box/a.csv": other}, checked={"/box/a.csv": checked})
    assert "replaced" in refused.refusal


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch user namespaces off for a test")
@pytest.mark.parametrize("path", [os.environ["PATH"], "/nonexistent"], ids=["with bubblewrap", "without"])
def test_where_no_namespace_can_be_made_bubblewrap_does_or_the_doctor_says_what_to_do(path: str) -> None:
    """Root in a user namespace that allows no further ones: bubblewrap needs none there, and we do."""
    code = f"""
import os
os.environ["PATH"] = {path!r}
from datasites.sandbox import zygote
zygote._ENVIRONMENT["PATH"] = {path!r}
from datasites.sandbox.probe import probe
layers = probe()
print(layers.enough, layers.jobs[:1], layers.missing)
"""
    done = subprocess.run(
        [sys.executable, "-m", "tests.no_namespaces", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if path == "/nonexistent":
        assert done.stdout.startswith("False () ("), done.stderr
        assert "user.max_user_namespaces" in done.stdout
        assert "apt install bubblewrap" in done.stdout
    else:
        assert done.stdout.startswith("True ('bubblewrap',) ()"), (done.stdout, done.stderr)
