"""Kills a datasite at one boundary of one step of a life, starts it again, and lets the life go on to its end."""

import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from datasites.catalog.snapshot_folder import remove_leftovers
from datasites.execution.jobs.job_worker import JobWorker
from datasites.witnesses.begin import begin_anew
from policies.budget.chain import verify_chain
from tests.crashes.copies import Copy, copy_of
from tests.crashes.lives import Life, Memory, Step, worker
from tests.crashes.sound import require_sound
from tests.crashes.trap import Boundary, Trap
from tests.one_site import Scene
from tests.site_folder import NOW


@dataclass(frozen=True)
class Point:
    """A boundary of a life: before step number `step` the site was as in `before`; it dies at the step's `deadly`."""

    before: Copy
    memory: Memory
    step: int
    deadly: int
    boundary: Boundary


def points(life: Life, folder: Path, database: str) -> list[Point]:
    """Live once without a kill; every boundary of each step that no other life watches, as the site was before it."""
    found, memory = list[Point](), Memory(NOW)
    now = copy_of(closed(life.begin(folder / "0", database)))
    watched = range(len(life.steps))[life.watched_from : life.watched_until]
    for number, step in enumerate(life.steps):
        with opened(now, memory) as scene:
            step.prepare(scene, memory)
        before, kept = now, deepcopy(memory)
        if number in watched:
            now = before.again(folder / str(number + 1))
        trap = Trap()
        with opened(now, memory) as scene:
            trap.set_on(scene.site.engine)
            step.act(scene, memory)
        if number in watched:
            found += [Point(before, kept, number, at, boundary) for at, boundary in enumerate(trap.passed, start=1)]
    with opened(now, memory) as scene:
        life.ended(scene)
        require_sound(scene)
    return found


def crash(life: Life, point: Point, folder: Path) -> None:
    """Die at the point, start again, live on to the end; everything that was promised must hold.

    Raises:
        AssertionError: it does not, or the process came through without dying.
    """
    copy, memory = point.before.again(folder), deepcopy(point.memory)
    try:
        assert _killed(copy, life.steps[point.step], deepcopy(memory), point.deadly), "it came through alive"
        with opened(copy, memory) as scene:
            start_again(scene)
            require_sound(scene)
            for step in life.steps[point.step :]:
                step.prepare(scene, memory)
                step.act(scene, memory)
            life.ended(scene)
            require_sound(scene)
    finally:
        copy.remove()


def start_again(scene: Scene) -> None:
    """What `serve` does before it takes mail."""
    with scene.site.engine.begin() as connection:
        verify_chain(connection)
        begin_anew(connection, scene.site, scene.now)
    JobWorker(scene.site).take_up_interrupted()
    worker(scene).tidy()
    remove_leftovers(scene.site)


@contextmanager
def opened(copy: Copy, memory: Memory) -> Iterator[Scene]:
    """The copy as a running site, closed at the end."""
    scene = copy.scene(memory.seconds)
    try:
        yield scene
    finally:
        closed(scene)


def closed(scene: Scene) -> Scene:
    """The scene without a connection to its database."""
    scene.site.engine.dispose()
    return scene


def _killed(copy: Copy, step: Step, memory: Memory, deadly: int) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            scene = copy.scene(memory.seconds)
            Trap(deadly).set_on(scene.site.engine)
            step.act(scene, memory)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the step failed by itself"
    return False
