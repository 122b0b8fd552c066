"""The soak: studies one after another in a federation whose processes are killed at random, for as long as is given.

usage: python -m tests.soak.run --minutes 10 [--seed 7] [--folder soak-output]
It stops at the first violated promise and keeps every log and database in the folder. The seed draws the blows; how
they meet the processes depends on the machine.
"""

import argparse
import random
import secrets
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from tests.soak.chaos import Chaos
from tests.system.kill_scene import begin_study, killable_federation

_STUDIES_A_FEDERATION = 8
"""So many fit into a population's lifetime budget."""
_EPSILON = 0.5


def soak(folder: Path, minutes: float, seed: int, *, rounds: int = 8) -> Counter[str]:
    """Run studies of `rounds` rounds until the time is over; the one that runs then is finished.

    Raises:
        ViolationError, AssertionError: a promise was broken; the folder has what is needed to see how.
    """
    chance, counts, began = random.Random(seed), Counter[str](), time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)

    def time_left() -> bool:
        return time.monotonic() - began < 60 * minutes

    say(f"seed {seed}, logs in {folder}")
    number = 0
    while time_left():
        number += 1
        with killable_federation(folder / f"federation-{number}") as live:
            for _ in range(_STUDIES_A_FEDERATION):
                if not time_left():
                    break
                scene = begin_study(live, rounds=rounds, retries=rounds, epsilon=_EPSILON)
                say(f"study {scene.study.identifier} begins")
                try:
                    Chaos(scene, chance, say, counts).run()
                finally:
                    scene.end_researcher()
                say(", ".join(f"{amount} {what}" for what, amount in sorted(counts.items())))
        shutil.rmtree(folder / f"federation-{number}")
    return counts


def main() -> None:
    """Soak as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--folder", type=Path, default=Path("soak-output"))
    given = parser.parse_args()
    folder = given.folder / f"seed-{given.seed}-{int(time.time())}"
    folder.mkdir(parents=True)
    try:
        soak(folder, given.minutes, given.seed)
    except BaseException:
        print(f"Stopped: seed {given.seed}; everything is kept in {folder}.", file=sys.stderr)
        raise
    print("No promise was broken.")


if __name__ == "__main__":
    main()
