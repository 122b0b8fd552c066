"""Kills at every single statement of every life, on both databases: `make crashes`. Takes many minutes."""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.crashes.all_lives import ALL_LIVES
from tests.crashes.crash import crash, points
from tests.databases import DATABASES


def main(words: Sequence[str]) -> int:
    """Kill at each point; 1 if a promise was broken at any, which are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every so manieth point")
    every: int = parser.parse_args(words).every
    broken = 0
    for database in DATABASES:
        for life in ALL_LIVES:
            with tempfile.TemporaryDirectory(prefix="crashes-") as folder:
                found = points(life, Path(folder), database)[::every]
                for number, point in enumerate(found):
                    try:
                        crash(life, point, Path(folder) / f"killed-{number}")
                    except AssertionError as error:
                        broken += 1
                        step = life.steps[point.step].name
                        print(f"BROKEN {database}, {life.name}, {step} at {point.deadly} ({point.boundary}): {error}")
                kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(it.boundary for it in found).items())
                print(f"{database:10} {life.name:14} killed {len(found)} times: {kinds}", flush=True)
    print("every promise held" if not broken else f"{broken} points broke a promise")
    return min(broken, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
