"""How the benchmark of utility chose models and numbers: a search on salts of its own, apart from those reported.

usage: python -m tests.benchmarks.utility_search [DATA_SET…]        (writes bench-output/utility-search-….json)

For each data set and ε, every candidate trains federated on the first salts; the best two also train on the others, and
the better mean over all of them is chosen. Distributed, alone and pooled take its model and rounds, with the best of
three learning rates found in the same way; without privacy, all of it. A choice looks at the data as if they were
public, as choices behind such tables do. How much noise «distributed» takes follows from its ε, not from any data.
"""

import itertools
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from tests.benchmarks.utility_data import DATA_SETS, Split
from tests.benchmarks.utility_training import Choice, Setting, accuracy, honest_figure

FIRST_SALTS = (100, 101)
OTHER_SALTS = (102, 103)
EPSILONS = (3.0, 1.0, 8.0, None)
_KEPT = 2
_ROOMY = 32.0
"""A range of updates that no site's leaves, whatever its data, at the learning rates tried."""


def _grid(plan: str, rounds: Sequence[int], sampling_rate: float, learning_rates: Sequence[float]) -> list[Choice]:
    """One local step a round, so that sites average after every step; C = 1."""
    return [
        Choice(plan, number, 1, sampling_rate, learning)
        for number, learning in itertools.product(rounds, learning_rates)
    ]


PRIVATE = {
    "breast cancer": _grid("logistic regression", [20, 40], 1.0, [0.5, 1.0, 2.0, 4.0]),
    "digits": _grid("regression on strokes", [20, 40], 1.0, [2.0, 4.0, 8.0]),
}
"""Candidates under privacy. Others that are in `utility_plans` came behind these."""

WITHOUT = {
    "breast cancer": _grid("logistic regression", [100], 1.0, [0.5, 2.0]),
    "digits": _grid("regression on strokes", [100], 1.0, [1.0, 2.0]),
}
"""Candidates without privacy."""


def choose(
    first: Sequence[Split], others: Sequence[Split], setting: Setting, epsilon: float | None, among: Sequence[Choice]
) -> tuple[Choice, float]:
    """The best of `among`, and its mean accuracy over all splits."""
    scores = {choice: [accuracy(split, setting, choice, epsilon) for split in first] for choice in among}
    best = sorted(among, key=lambda choice: mean(scores[choice]), reverse=True)[:_KEPT]
    for choice, values in scores.items():
        print(f"  {setting} {epsilon} {choice}: {mean(values):.4f}", flush=True)
    for choice in best:
        scores[choice] += [accuracy(split, setting, choice, epsilon) for split in others]
    chosen = max(best, key=lambda choice: mean(scores[choice]))
    print(f"{setting} {epsilon} {chosen}: {mean(scores[chosen]):.4f}", flush=True)
    return chosen, mean(scores[chosen])


def distributed(choice: Choice, split: Split, epsilon: float) -> Choice:
    """`choice` with the least noise that gives every site's people `epsilon` if two sites are honest, to a hundredth
    of what it then promises them whoever colludes."""
    enough, too_little = 100 * epsilon, 300 * epsilon
    while too_little - enough > 1:
        middle = (enough + too_little) // 2
        tried = replace(choice, update_range=_ROOMY, promised=middle / 100)
        enough, too_little = (middle, too_little) if honest_figure(tried, split) <= epsilon else (enough, middle)
    return replace(choice, update_range=_ROOMY, promised=enough / 100)


def search(data_set: str) -> list[dict[str, Any]]:
    """All choices for one data set, each with its mean accuracy in the search."""
    found: list[dict[str, Any]] = []
    with ExitStack() as opened:
        first, others = (
            [opened.enter_context(DATA_SETS[data_set](salt)) for salt in salts] for salts in (FIRST_SALTS, OTHER_SALTS)
        )
        for epsilon in EPSILONS:
            among: Sequence[Choice] = (WITHOUT if epsilon is None else PRIVATE)[data_set]
            choice, score = choose(first, others, "federated", epsilon, among)
            found.append({"setting": "federated", "epsilon": epsilon, "accuracy": score, **vars(choice)})
            if epsilon is None:
                continue
            rates = [replace(choice, learning_rate=choice.learning_rate * factor) for factor in (0.5, 1.0, 2.0)]
            less_noise = [distributed(it, first[0], epsilon) for it in rates]
            for setting, among in (("distributed", less_noise), ("alone", rates), ("pooled", rates)):
                choice, score = choose(first, others, setting, epsilon, among)
                found.append({"setting": setting, "epsilon": epsilon, "accuracy": score, **vars(choice)})
    return found


def main(data_sets: Sequence[str]) -> None:
    """Search each data set."""
    for data_set in data_sets:
        output = Path(f"bench-output/utility-search-{data_set.replace(' ', '-')}.json")
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(search(data_set), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:] or list(DATA_SETS))
