"""A federation all of whose processes have kill points, and a study run in a researcher's own process."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from researcher import Deadlines, Privacy, Study
from tests.demo.commands import start
from tests.system.federation import LiveFederation, open_federation
from tests.system.kill_points import Shot, arm, was_killed
from tests.system.plans import WidePlan
from tests.system.waiting import SECONDS, eventually, rows

Done = TypeVar("Done")

RELAY, RESEARCHER = "relay", "researcher"
KILLED = -9


@dataclass
class KillScene:
    """The federation, its current study, and the process that runs it up to the round that was let."""

    live: LiveFederation
    study: Study
    initial: NDArray[np.float32]
    process: subprocess.Popen[bytes] | None = None
    runs: int = 0

    @property
    def home(self) -> Path:
        """The researcher's folder."""
        return self.live.folder / "ada"

    @property
    def gate(self) -> Path:
        return self.live.folder / f"gate-{self.study.identifier}"

    def points_of(self, party: str) -> Path:
        """Where a party's process is armed."""
        return _points_folder(self.live.folder, party)

    def let(self, number: int) -> None:
        """Let the researcher run up to round `number`."""
        draft = self.gate.with_suffix(".draft")
        draft.write_text(str(number))
        draft.replace(self.gate)

    def round(self) -> int:
        """The last round that stands in the researcher's state file."""
        (row,) = rows(self.home / "state.sqlite", "SELECT round FROM studies WHERE study = ?", self.study.identifier)
        return int(row["round"])

    def start_researcher(self) -> None:
        """Start the researcher's process, as a kernel is started again."""
        self.runs += 1
        self.process = start(
            "study", self.home, "dr-ada-lindqvist", self.live.proxy.url, self.study.identifier, self.gate,
            log=self.live.folder / f"study-{self.study.identifier}-{self.runs}.log",
            command=_launched(self.live.folder, RESEARCHER),
        )  # fmt: skip

    def running(self, party: str) -> subprocess.Popen[bytes]:
        """A party's process."""
        process = {RELAY: self.live.relay, RESEARCHER: self.process}.get(party) or self.live.sites[party].process
        assert process is not None
        return process

    def start(self, party: str) -> None:
        """Start a party's process plainly, as its operator would."""
        if party == RELAY:
            self.live.start_relay()
        elif party == RESEARCHER:
            self.start_researcher()
        else:
            self.live.sites[party].serve()

    def kill_once(self, party: str, shot: Shot) -> None:
        """Let one more round run in which `party` meets its shot, start it again, and wait for the round's end."""
        arm(self.points_of(party), shot)
        following = self.round() + 1
        self.let(following)
        eventually(lambda: was_killed(self.points_of(party)), f"{party} reaching {shot.point}")
        if shot.victim == "process":
            assert self.running(party).wait(SECONDS) == KILLED
            self.start(party)
        self.wait_for(following)

    def wait_for(self, number: int, seconds: float = SECONDS) -> None:
        """Wait until the researcher has finished round `number`; whatever ended meanwhile ended wrongly."""

        def come_so_far() -> bool:
            assert self.process is not None
            if self.process.poll() not in (None, 0):
                raise AssertionError(f"The researcher's process ended: {self.printed()}")
            return self.round() >= number

        eventually(come_so_far, f"round {number}; the researcher said: {self.printed()}", seconds)

    def printed(self) -> str:
        """What the researcher's process said since its last start."""
        log = self.live.folder / f"study-{self.study.identifier}-{self.runs}.log"
        return log.read_text() if log.exists() else ""

    def end_researcher(self) -> None:
        """End the researcher's process if it still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(SECONDS)


def while_killed(live: LiveFederation, shots: Mapping[str, str], act: Callable[[], Done]) -> Done:
    """Do something in which these sites, one after another, meet their points, are killed and plainly started again."""
    for name, point in shots.items():
        arm(_points_folder(live.folder, name), Shot(point))
    with ThreadPoolExecutor(1) as thread:
        doing = thread.submit(act)
        for name, point in shots.items():
            folder = _points_folder(live.folder, name)
            eventually(lambda folder=folder: was_killed(folder), f"{name} reaching {point}", 2 * SECONDS)
            process = live.sites[name].process
            assert process is not None
            assert process.wait(SECONDS) == KILLED
            live.sites[name].serve()
        return doing.result(2 * SECONDS)


@contextmanager
def killable_federation(folder: Path) -> Iterator[LiveFederation]:
    """A federation whose processes have kill points; everything ends with the block."""
    live = open_federation(folder, lambda party: _launched(folder, party))
    try:
        yield live
    finally:
        live.close()


def begin_study(live: LiveFederation, *, rounds: int, retries: int, epsilon: float = 1.0, **changes: Any) -> KillScene:
    """Submit a study of models that no letter holds, have it approved, and start its researcher's process."""
    study = live.pending_study(
        WidePlan(),
        rounds=rounds,
        retries=retries,
        evaluate=(0, rounds),
        privacy=Privacy(epsilon=epsilon, delta=1e-6),
        deadlines=Deadlines(setup_seconds=60, round_seconds=60),
        **changes,
    )
    live.at_each_site(lambda site: site.approve(study))
    study.wait(SECONDS)
    scene = KillScene(live, study, live.ada.correspondence.state.model(study.identifier).copy())
    scene.let(0)
    scene.start_researcher()
    return scene


def _points_folder(folder: Path, party: str) -> Path:
    return folder / "kill-points" / party


def _launched(folder: Path, party: str) -> tuple[str, ...]:
    points = _points_folder(folder, party)
    points.mkdir(parents=True, exist_ok=True)
    return (sys.executable, "-m", "tests.system.killable", str(points), "--")
