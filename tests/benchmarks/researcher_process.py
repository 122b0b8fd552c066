"""The researcher of the start-up measurement, in a process of its own: submit, wait for the owners, open one sum.

usage: python -m tests.benchmarks.researcher_process HOME RELAY_URL PARAMETERS
It prints a line when the study is submitted, one when it is approved, and one when the first sum is opened.
"""

import sys

import researcher
from tests.benchmarks.plan import WidePlan
from tests.benchmarks.scene import RESEARCHER, ask


def main(home: str, relay: str, parameters: int) -> None:
    """One study as far as its first sum."""
    ada = researcher.connect(home, name=RESEARCHER, relay=relay)
    study = ada.submit(WidePlan(parameters), ada.data_sets, ask(2))
    print(f"submitted {study.identifier}", flush=True)
    study.wait(300)
    print("approved", flush=True)
    next(study.rounds())
    print("summed", flush=True)
    study.cancel("Timed.")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
