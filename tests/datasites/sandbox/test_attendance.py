"""What the datasite takes from an errand's processes that were taken over: strict messages, within bounds."""

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from datasites.sandbox.attendance import Attendance
from datasites.sandbox.errand import Cancel, Errand, Limits, Outcome
from datasites.sandbox.line import Line
from datasites.sandbox.messages import Complete, Content, Ended, Locked
from policies.errors import RefusedError, UnavailableError

LIMITS = Limits(memory_bytes=1, disk_bytes=1000, cpu_seconds=1, wall_seconds=0.5, threads=1, text_bytes=100)
ERRAND = Errand("script", "/a.py", {"/a.py": b"pass"}, (), "/job", "/job/outputs", {}, LIMITS)


def frame(header: bytes, body: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "big") + len(body).to_bytes(8, "big") + header + body


LOCKED = frame(Locked(layers=("seccomp",), refusal=None).canonical())
ENDED = frame(Ended(ending="finished", error="", cpu_microseconds=1, peak_memory_bytes=1).canonical())
COMPLETE = frame(
    Complete(links=2, specials=1, badly_named=0, too_deep=0, too_many=0, too_large=3).canonical()
)  # fmt: skip


def content(name: str, body: bytes) -> bytes:
    return frame(Content.model_construct(type="content", name=name).canonical(), body)


@dataclass
class Liar:
    """A line whose other ends the test holds."""

    line: Line
    channel: socket.socket
    output: int

    def attend(self, said: bytes, text: bytes = b"") -> tuple[Outcome, bytes]:
        self.channel.sendall(said)
        self.channel.shutdown(socket.SHUT_WR)
        os.write(self.output, text)
        written = bytearray()
        with Cancel() as cancel:
            return Attendance(self.line, ERRAND, written.extend, cancel).run(), bytes(written)


@pytest.fixture
def liar() -> Iterator[Liar]:
    ours, its = socket.socketpair()
    ours.setblocking(False)
    (output, its_output), (errors, its_errors) = os.pipe(), os.pipe()
    with subprocess.Popen(["sleep", "60"]) as process, its:
        line = Line(ours, output, errors, os.pidfd_open(process.pid))
        yield Liar(line, its, its_output)
        line.end()
    os.close(its_output)
    os.close(its_errors)


def test_what_is_due_is_taken(liar: Liar) -> None:
    """The positive twin of the tests below."""
    outcome, written = liar.attend(LOCKED + ENDED + content("a", b"12") + content("b/c", b"3") + COMPLETE, b"hello")
    assert (outcome.ending, outcome.layers, outcome.stdout, written) == ("finished", ("seccomp",), b"hello", b"123")
    assert [(output.name, output.size) for output in outcome.outputs] == [("a", 2), ("b/c", 1)]
    assert outcome.left_out == ("2 links", "1 device, pipe or unreadable file", "3 files beyond the size limit")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"Traceback: patient 7",
        (2**63).to_bytes(8, "big") * 2,
        ENDED,
        frame(b'{"layers":["seccomp"],"note":"patient 7","refusal":null,"type":"locked"}'),
        frame(b'{"layers":["Patient 7"],"refusal":null,"type":"locked"}'),
    ],
)
def test_without_the_first_message_nothing_ran(liar: Liar, said: bytes) -> None:
    with pytest.raises(UnavailableError) as caught:
        liar.attend(said)
    assert "patient" not in str(caught.value)


def test_a_refusal_is_passed_on(liar: Liar) -> None:
    with pytest.raises(RefusedError, match="no namespaces"):
        liar.attend(frame(Locked(layers=(), refusal="no namespaces").canonical()))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        LOCKED,
        frame(b'{"cpu_microseconds":1,"ending":"escaped","error":"","peak_memory_bytes":1,"type":"ended"}'),
        frame(b'{"cpu_microseconds":-1,"ending":"finished","error":"","peak_memory_bytes":1,"type":"ended"}'),
        ENDED,
        ENDED + content("a", b"12"),
        ENDED + content("a", b"12")[:-1],
        ENDED + content("a", b"12") + content("a", b"12") + COMPLETE,
        ENDED + content("../a", b"12") + COMPLETE,
        ENDED + content("/a", b"12") + COMPLETE,
        ENDED + content("a/.b", b"12") + COMPLETE,
        ENDED + content("a\\n", b"12") + COMPLETE,
        ENDED + content("a/" * 8 + "b", b"12") + COMPLETE,
        ENDED + content("a", bytes(1001)) + COMPLETE,
        ENDED + content("a", bytes(600)) + content("b", bytes(600)) + COMPLETE,
        ENDED + b"".join(content(f"{number}", b"") for number in range(1002)) + COMPLETE,
    ],
)
def test_whoever_lies_ends_its_own_errand_and_no_more(liar: Liar, said: bytes) -> None:
    outcome, written = liar.attend(LOCKED + said)
    assert outcome.ending == "killed"
    assert len(written) <= 1000
    assert all(".." not in output.name for output in outcome.outputs)


def test_an_error_that_is_on_no_list_has_no_name(liar: Liar) -> None:
    ended = Ended(ending="failed", error="PatientSeven", cpu_microseconds=1, peak_memory_bytes=1)
    assert liar.attend(LOCKED + frame(ended.canonical()) + COMPLETE)[0].error == "other"


def test_text_is_cut_where_its_bound_is(liar: Liar) -> None:
    outcome, _ = liar.attend(LOCKED + ENDED + COMPLETE, b"x" * 1000)
    assert (outcome.ending, outcome.stdout) == ("too-much-output", b"x" * 100)


def test_whoever_stays_silent_is_not_waited_for(liar: Liar) -> None:
    liar.channel.sendall(LOCKED)
    with Cancel() as cancel:
        outcome = Attendance(liar.line, ERRAND, lambda piece: None, cancel).run()
    assert outcome.ending == "timed-out"
    assert 0.4 < outcome.wall_seconds < 4
