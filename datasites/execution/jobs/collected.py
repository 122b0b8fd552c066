"""What an errand left behind, in the words of the job's life: its files, and what it printed."""

from collections.abc import Callable

from datasites.sandbox.errand import Outcome
from datasites.store.contents import Piece
from policies.jobs.release import LOGS, OutputFact

Sink = Callable[[Piece], object]


def with_logs(run: Callable[[Sink], Outcome], keep: Sink) -> Outcome:
    """Run an errand; hand `keep` all bytes of its outputs as they come, and then what it printed."""
    outcome = run(keep)
    for text in (outcome.stdout, outcome.stderr):
        keep(text)
    return outcome


def facts_of(outcome: Outcome) -> tuple[OutputFact, ...]:
    """The outputs and then the logs, in the order of their bytes."""
    outputs = (OutputFact(kind="output", path=output.name, size=output.size) for output in outcome.outputs)
    logs = zip(LOGS, (outcome.stdout, outcome.stderr), strict=True)
    return (*outputs, *(OutputFact(kind="log", path=name, size=len(text)) for name, text in logs))


def lines_of(outcome: Outcome) -> str:
    """What was printed, as text for people: both streams, without control characters."""
    text = (outcome.stdout + outcome.stderr).decode(errors="replace")
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
