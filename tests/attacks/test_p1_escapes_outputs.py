"""P1, a job's outputs and what it is shown: links, devices and other traps, and files exchanged behind the check."""

import os
from pathlib import Path

import pytest

from tests.sandbox_client import Sandbox

TRAPS = {
    "a link to a file": ("os.symlink('/etc/passwd', 'outputs/trap')", "1 link"),
    "a link to the root": ("os.symlink('/', 'outputs/trap')", "1 link"),
    "a link to another output": ("os.symlink('good.txt', 'outputs/trap')", "1 link"),
    "a name with a line break": ("open('outputs/a\\nb', 'w')", "1 file with a name that is not plain"),
    "a name with markup": ("open('outputs/<script>', 'w')", "1 file with a name that is not plain"),
    "a hidden name": ("open('outputs/.trap', 'w')", "1 file with a name that is not plain"),
    "a name that is no text": ("open(b'outputs/\\xff', 'w')", "1 file with a name that is not plain"),
    "a deep tree": (
        "os.makedirs('outputs' + '/a' * 30); open('outputs' + '/a' * 30 + '/b', 'w')",
        "1 file in too many",
    ),
    "a file with holes": ("open('outputs/trap', 'w').truncate(15 * 2**20 + 2)", "1 file beyond the size limit"),
    "a file that nobody may read": ("os.chmod(os.open('outputs/trap', os.O_CREAT), 0)", "1 device, pipe or unreadable"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_nothing_but_plain_files_comes_out(sandbox: Sandbox, name: str) -> None:
    act, words = TRAPS[name]
    good = "import os\nopen('outputs/good.txt', 'w').write('good')\nopen('outputs/filler', 'w').truncate(2**20)\n"
    outcome = sandbox.run(good + act)
    assert outcome.ending == "finished", outcome.stderr
    assert sorted(outcome.contents) == ["filler", "good.txt"]
    assert outcome.contents["good.txt"] == b"good"
    assert len(outcome.left_out) == 1
    assert outcome.left_out[0].startswith(words)


def test_folders_large_files_and_odd_bytes_come_out_whole(sandbox: Sandbox) -> None:
    """The positive twin."""
    script = """
import os
os.makedirs("outputs/a/b")
for number in range(3):
    open(f"outputs/a/b/{number}.bin", "wb").write(bytes(range(256)) * 4096 * (number + 1))
open("outputs/empty", "w")
"""
    outcome = sandbox.run(script)
    assert {name: len(content) for name, content in outcome.contents.items()} == {
        "a/b/0.bin": 2**20, "a/b/1.bin": 2 * 2**20, "a/b/2.bin": 3 * 2**20, "empty": 0,
    }  # fmt: skip
    assert outcome.contents["a/b/2.bin"] == bytes(range(256)) * 4096 * 3
    assert outcome.left_out == []


@pytest.mark.parametrize(
    "act",
    [
        "os.rmdir('outputs')",
        "os.rename('outputs', 'other')",
        "os.rmdir('outputs'); os.symlink('/etc', 'outputs')",
        "os.rmdir('outputs'); open('outputs', 'w').write('x')",
        "os.chmod('outputs', 0)",
    ],
)
def test_a_folder_of_outputs_that_is_none_gives_nothing(sandbox: Sandbox, act: str) -> None:
    outcome = sandbox.run(f"import os\n{act}")
    assert (outcome.ending, outcome.outputs) == ("finished", [])


def test_too_many_outputs_are_counted_and_left_out(sandbox: Sandbox) -> None:
    outcome = sandbox.run("for n in range(410): open(f'outputs/{n}', 'w')")
    assert len(outcome.outputs) == 400
    assert outcome.left_out == ["10 files beyond the greatest number"]


def test_what_a_failed_script_left_is_there_for_its_owner(sandbox: Sandbox) -> None:
    outcome = sandbox.run("open('outputs/half', 'w').write('1'); raise ValueError('patient 7')")
    assert (outcome.ending, outcome.error) == ("failed", "ValueError")
    assert outcome.contents == {"half": b"1"}
    assert outcome.stderr.endswith("ValueError: patient 7\n")


def test_an_error_of_the_scripts_own_making_has_no_name_outside(sandbox: Sandbox) -> None:
    own = sandbox.run("class Patient7(Exception): pass\nraise Patient7")
    assert (own.ending, own.error) == ("failed", "other")
    derived = sandbox.run("class Patient7(KeyError): pass\nraise Patient7")
    assert derived.error == "KeyError"
    forged = sandbox.run("import os, sys\nfor n in range(3, 50):\n    try: os.write(n, b'x' * 10**5)\n"
                         "    except OSError: pass\nos._exit(3)")  # fmt: skip
    assert (forged.ending, forged.error) == ("failed", "other")


def test_a_shown_file_is_read_and_neither_written_nor_exchanged(sandbox: Sandbox) -> None:
    table = sandbox.keep("table.csv", b"private\n")
    script = """
import os
print(open("/box/private/data/table.csv").read())
for act in (
    lambda: open("/box/private/data/table.csv", "a"),
    lambda: os.chmod("/box/private/data/table.csv", 0o777),
    lambda: os.unlink("/box/private/data/table.csv"),
    lambda: os.rename("/box/private/data/table.csv", "/tmp/x"),
    lambda: os.truncate("/box/private/data/table.csv", 0),
    lambda: os.utime("/box/private/data/table.csv"),
    lambda: os.listdir("/box/private/data/.."),
):
    try:
        print(act())
    except OSError:
        print("held")
"""
    outcome = sandbox.run(script, shown={"/box/private/data/table.csv": table})
    assert outcome.stdout.split() == ["private", *["held"] * 6, "['data']"], outcome.stderr
    assert table.read_bytes() == b"private\n"


@pytest.mark.parametrize("change", ["another file", "a link", "a folder", "nothing"])
def test_a_file_exchanged_after_its_check_is_not_shown(sandbox: Sandbox, change: str) -> None:
    checked = sandbox.keep("checked.csv", b"checked\n")
    path = sandbox.folder / "table.csv"
    path.unlink(missing_ok=True)
    if change == "another file":
        sandbox.keep("table.csv", b"checked\n")
    elif change == "a link":
        other = sandbox.keep("other.csv", b"other\n")
        path.symlink_to(other)
    elif change == "a folder":
        path = sandbox.folder / "folder"
        path.mkdir(exist_ok=True)
    outcome = sandbox.run("print(1)", shown={"/box/table.csv": path}, checked={"/box/table.csv": checked})
    assert outcome.refusal is not None
    assert outcome.refusal.startswith("RefusedError")
    assert sandbox.run("print(1)", shown={"/box/table.csv": checked}).stdout == "1\n"


@pytest.mark.parametrize(
    "place", ["/lib/evil.py", "/usr/lib/evil.py", "/job/../etc/passwd", "relative", "/", "/job//x", "/etc/passwd"]
)
def test_files_are_put_only_where_there_is_room_for_them(sandbox: Sandbox, place: str) -> None:
    outcome = sandbox.run("print(1)", files={place: b"x"})
    assert outcome.refusal is not None


def test_a_file_that_its_user_cannot_read_is_refused_with_a_reason(sandbox: Sandbox) -> None:
    path = sandbox.keep("closed.csv", b"private\n")
    if sandbox.folder.stat().st_uid == 0:
        os.chown(path, 4321, 4321)
    else:
        pytest.skip("an ordinary user cannot open such a file to begin with")
    outcome = sandbox.run("print(1)", shown={"/box/closed.csv": path})
    assert "own user" in outcome.refusal


def test_the_next_errand_finds_nothing_of_the_one_before(sandbox: Sandbox) -> None:
    hide = "import os\nfor folder in ('/tmp', '/dev/shm', '/job/code'): open(f'{folder}/left', 'w').write('x')"
    look = (
        "import os\nprint([f for f in ('/tmp', '/dev/shm', '/job/code') if os.path.exists(f'{f}/left')])\n"
        "print(hasattr(os, 'planted'))"
    )
    assert sandbox.run(hide + "\nos.planted = 1").ending == "finished"
    assert sandbox.run(look).stdout.splitlines() == ["[]", "False"]


def test_our_own_packages_are_there_only_for_errands_of_ours(sandbox: Sandbox) -> None:
    script = "import sys\nprint([n for n in sys.modules if n.startswith('datasites')])\nimport policies.errors"
    outcome = sandbox.run(script)
    assert (outcome.stdout, outcome.error) == ("[]\n", "ModuleNotFoundError")
    assert sandbox.run("import policies.errors, datasites", packages=True).ending == "finished"


def test_nothing_is_open_but_the_three_streams_and_the_line_to_the_keeper(sandbox: Sandbox) -> None:
    script = """
import os, stat
for number in range(600):
    try:
        kind = os.fstat(number).st_mode
    except OSError:
        continue
    print(number, "pipe" if stat.S_ISFIFO(kind) else "socket" if stat.S_ISSOCK(kind) else "device")
"""
    assert sandbox.run(script).stdout.splitlines() == ["0 device", "1 pipe", "2 pipe", "3 socket"]


def test_the_paths_of_the_datasite_are_not_told(sandbox: Sandbox) -> None:
    table = sandbox.keep("table.csv", b"private\n")
    script = """
import os
for folder, folders, files in os.walk("/"):
    if folder.startswith(("/usr", "/lib")) or folder.endswith("site-packages"):
        folders.clear()
    print(folder, *folders, *files)
"""
    outcome = sandbox.run(script, shown={"/box/table.csv": table}, text_bytes=2**24, disk_bytes=2**20)
    assert outcome.ending == "finished"
    assert "/box table.csv" in outcome.stdout
    assert str(sandbox.folder) not in outcome.stdout
    assert str(Path.home() / ".ssh") not in outcome.stdout
