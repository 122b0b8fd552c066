"""A researcher's process that runs one study: opened again from the state file, as after a kernel restart."""

import sys
import time
from pathlib import Path

import researcher
from researcher import CloisterError, Study, UnavailableError
from tests.system.plans import WidePlan

REFUSED = 3


def run_study(home: Path, name: str, relay: str, identifier: str, gate: Path) -> None:
    """Run the study up to the round that `gate` names, which may rise meanwhile, until its last one.

    Where a site did not answer in time the study is run again, as whoever sits at the notebook would.
    """
    federation = researcher.connect(home, name=name, relay=relay)
    study = federation.study(identifier, WidePlan())
    while _round(study) < study.terms.sums:
        try:
            study.wait()
            _run_gated(study, gate)
        except UnavailableError as error:
            print(f"again: {error}", flush=True)
        except CloisterError as error:
            print(f"refused: {error}", flush=True)
            sys.exit(REFUSED)


def _run_gated(study: Study, gate: Path) -> None:
    rounds = study.rounds()
    while (done := _round(study)) < study.terms.sums:
        while int(gate.read_text()) <= done:
            time.sleep(0.02)
        next(rounds)


def _round(study: Study) -> int:
    history = study.result().history
    return history[-1].round if history else 0
