"""Secure-averaged rounds of a real federation: what each takes, beside what its local training takes by itself."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from researcher import Federation
from tests.benchmarks.local_training import at_three_sites
from tests.benchmarks.plan import WidePlan
from tests.benchmarks.scene import Scene, open_scene, pending_study


@dataclass(frozen=True)
class RoundTimes:
    """One round: seconds between two models in the researcher's hands, and what the product says of its parts."""

    wall: float
    site: float
    opening: float


@dataclass(frozen=True)
class Block:
    """Rounds of one size and, measured right after them, local training by itself at the same concurrency."""

    rounds: list[RoundTimes]
    local: list[float]
    submission: float
    """Seconds from submitting to the last site's check, for the notes."""


def measure_block(scene: Scene, ada: Federation, parameters: int, repeats: int) -> Block:
    """A study of its own: its first round warms up and is left out, as is the last, after which sites clean up."""
    began = time.monotonic()
    study = pending_study(ada, WidePlan(parameters), repeats + 2)
    submission = time.monotonic() - began
    scene.approve(study)
    study.wait(300)
    times: list[RoundTimes] = []
    last = time.monotonic()
    for record in study.rounds():
        now = time.monotonic()
        times.append(RoundTimes(now - last, record.site_seconds, record.sum_seconds))
        last = now
    return Block(times[1:-1], at_three_sites(parameters, repeats), submission)


@contextmanager
def federation() -> Iterator[tuple[Scene, Federation]]:
    """A federation in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rounds-") as folder, open_scene(Path(folder)) as opened:
        yield opened
