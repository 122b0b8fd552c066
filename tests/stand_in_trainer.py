"""A process in the trainer's place that says what a test tells it to, so that a lying trainer can be played."""

from datasites.execution.trainer_messages import Prepare, Prepared, Ready, Result
from policies.terms import Terms
from tests.record_forms import columns, data_size

READY = Ready(layers=("seccomp",), refusal=None).canonical()
PREPARED = Prepared(refusal=None, cache_bytes=0).canonical()


def result_frame(update: int, metrics: int) -> bytes:
    """The start of an honest result's frame, up to its body."""
    header = Result(metrics=metrics, update=update).canonical()
    return _lengths(header, 8 * (metrics + update)) + header


def start_code(say: str) -> str:
    """Python for `trainer_start._START`: lets itself be prepared, takes one round's model, then runs `say`.

    `say` uses `speak(content)` to write to the datasite.
    """
    return f"""
import os, sys, time
def speak(content):
    content = memoryview(content)
    while content:
        content = content[os.write(1, content):]
def listen():
    left = sum(int.from_bytes(sys.stdin.buffer.read(8), "big") for _ in range(2))
    while left:
        left -= len(sys.stdin.buffer.read(min(left, 1 << 20)))
speak({_lengths(READY, 0) + READY!r})
listen()
speak({_lengths(PREPARED, 0) + PREPARED!r})
listen()
{say}
time.sleep(60)
"""


def study_of(terms: Terms) -> Prepare:
    """What is handed to a trainer that looks at none of it."""
    return Prepare(
        loss="{}",
        metrics="{}",
        training=terms.training,
        evaluation=terms.evaluation,
        parameter_count=terms.programs.parameter_count,
        record=columns(1, "float32"),
        size=data_size(1, 1),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    )


def _lengths(header: bytes, body: int) -> bytes:
    return len(header).to_bytes(8, "big") + body.to_bytes(8, "big")
