"""Runs a real command with kill points put in from outside.

usage: python -m tests.system.killable FOLDER -- serve --home …            (FOLDER: where it is armed, see kill_points)
       python -m tests.system.killable FOLDER -- relay run …
       python -m tests.system.killable FOLDER -- study HOME NAME RELAY STUDY GATE
"""

import sys
from pathlib import Path

from tests.system.kill_points import KillPoints
from tests.system.watched_parties import watch_relay, watch_researcher, watch_site


def main(folder: Path, command: list[str]) -> None:
    """Put the points in, then become the command."""
    folder.mkdir(parents=True, exist_ok=True)
    points = KillPoints(folder)
    match command[0]:
        case "serve":
            import datasites.service  # noqa: F401 – what is to be watched

            watch_site(points)
        case "relay":
            watch_relay(points)
        case _:
            from tests.system.study_process import run_study

            watch_researcher(points)
            home, name, relay, study, gate = command[1:]
            run_study(Path(home), name, relay, study, Path(gate))
            return
    from datasites.cli.main import main as datasite

    sys.argv = ["datasite", *command]
    datasite()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[3:])
