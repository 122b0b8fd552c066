"""One study under random blows: parties killed, stalled and cut off, started again plainly, until it has ended."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.system.after_kills import assert_sound
from tests.system.federation import cancel
from tests.system.kill_points import ANY, Shot, arm, disarm, was_killed
from tests.system.kill_scene import KILLED, RELAY, RESEARCHER, KillScene
from tests.system.study_process import REFUSED

_MEAN_PAUSE_SECONDS = 2.5
_LONGEST_STALL_SECONDS = 2.0
_FARTHEST_POINT = 80
_REST_AFTER_SECONDS = 30.0
"""Without a finished round for so long, no more blows fall until there is one."""
_STUCK_AFTER_SECONDS = 240.0
_MOST_REFUSALS = 5


class ViolationError(Exception):
    """Something happened that P6 says never happens."""


@dataclass
class Chaos:
    """Deals blows to a scene, drawn from `chance`; `say` is told each; `counts` adds them up."""

    scene: KillScene
    chance: random.Random
    say: Callable[[str], None]
    counts: Counter[str]
    refusals: int = 0
    _stalled: dict[int, float] = field(default_factory=dict)
    _heard: set[str] = field(default_factory=set)

    @property
    def parties(self) -> list[str]:
        return [*self.scene.live.sites, RELAY, RESEARCHER]

    def run(self) -> None:
        """Until the study has ended, and then check what it left behind.

        Raises:
            ViolationError, AssertionError: what must never be.
        """
        scene, sums = self.scene, self.scene.study.terms.sums
        scene.let(sums)
        finished, progressed, next_blow = scene.round(), time.monotonic(), 0.0
        ended = False
        while not ended:
            time.sleep(0.02)
            self._wake_stalled()
            ended = self._revive()
            now = time.monotonic()
            if scene.round() != finished:
                finished, progressed = scene.round(), now
            if now - progressed > _STUCK_AFTER_SECONDS:
                raise ViolationError(f"round {finished + 1} of {sums} does not end: {scene.printed()}")
            if not ended and now >= next_blow and now - progressed < _REST_AFTER_SECONDS:
                self._strike()
                next_blow = now + self.chance.expovariate(1 / _MEAN_PAUSE_SECONDS)
        for party in self.parties:
            disarm(scene.points_of(party))
        self._wake_stalled(everybody=True)
        self._revive()
        complete = scene.round() == sums
        if not complete:
            cancel(scene.study, scene.live.sites.values())
        self.counts["rounds"] += scene.round()
        self.counts["computed again"] += assert_sound(scene, complete)
        self.counts["studies finished" if complete else "studies ended early"] += 1

    def _strike(self) -> None:
        blow = self.chance.choices(
            [self._arm, self._kill, self._kill_trainer, self._kill_several, self._stall, self._cut],
            [50, 15, 8, 5, 12, 10],
        )[0]
        blow()

    def _arm(self) -> None:
        party = self.chance.choice(self.parties)
        trainer = party in self.scene.live.sites and self.chance.random() < 0.2
        shot = Shot(ANY, self.chance.randint(1, _FARTHEST_POINT), "trainer" if trainer else "process")
        self._heard.discard(party)
        arm(self.scene.points_of(party), shot)

    def _kill(self) -> None:
        self._kill_now([self.chance.choice(self.parties)])

    def _kill_several(self) -> None:
        self._kill_now(self.chance.sample(self.parties, self.chance.randint(2, len(self.parties))))

    def _kill_now(self, parties: list[str]) -> None:
        self._tell(f"kill {', '.join(parties)} at an instant")
        for party in parties:
            self.scene.running(party).kill()
        self.counts["kills at instants"] += len(parties)

    def _kill_trainer(self) -> None:
        site = self.chance.choice(list(self.scene.live.sites))
        for pid in self.scene.running(site).trainers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self._tell(f"kill the trainer of {site}")
                self.counts["trainers killed"] += 1

    def _stall(self) -> None:
        party = self.chance.choice(self.parties)
        process = self.scene.running(party)
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            self._stalled[process.pid] = time.monotonic() + self.chance.uniform(0.1, _LONGEST_STALL_SECONDS)
            self._tell(f"stall {party}")
            self.counts["stalls"] += 1

    def _cut(self) -> None:
        self.scene.live.proxy.cut()
        self._tell("cut all connections")
        self.counts["cuts"] += 1

    def _wake_stalled(self, *, everybody: bool = False) -> None:
        for pid, until in list(self._stalled.items()):
            if everybody or time.monotonic() >= until:
                del self._stalled[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _revive(self) -> bool:
        """Start again, as its operator would, whoever was killed; True when the researcher's run is over."""
        for party in self.parties:
            points = self.scene.points_of(party)
            if was_killed(points) and party not in self._heard:
                self._heard.add(party)
                where = points.joinpath("where").read_text()
                self._tell(f"a shot at {party}: {where}")
                self.counts["kills at points"] += 1
            code = self.scene.running(party).poll()
            if code is None:
                continue
            if party == RESEARCHER and code in (0, REFUSED):
                if code == 0 or self._is_over():
                    return True
                self.refusals += 1
            elif code != KILLED:
                raise ViolationError(f"{party} ended by itself with exit code {code}")
            disarm(points)
            time.sleep(self.chance.choice((0.0, 0.0, self.chance.uniform(0.0, 1.0))))
            self.scene.start(party)
            self.counts["starts"] += 1
            if party in self.scene.live.sites and self.chance.random() < 0.25:  # killed again while it starts
                self._heard.discard(party)
                arm(points, Shot(ANY, self.chance.randint(1, 12)))
        return False

    def _is_over(self) -> bool:
        """Whether a refused run stays refused: a site has no retry left. Any other refusal passes when run again."""
        self._tell(self.scene.printed().strip())
        if self.refusals >= _MOST_REFUSALS:
            raise ViolationError(f"the study is refused again and again: {self.scene.printed()}")
        query = "SELECT status FROM requests WHERE study = ?"
        statuses = [site.rows(query, self.scene.study.identifier)[0][0] for site in self.scene.live.sites.values()]
        return "failed" in statuses

    def _tell(self, what: str) -> None:
        self.say(f"round {self.scene.round()}: {what}")
