"""How summaries quote what a researcher wrote, and say what a privacy loss means to people."""

import math


def as_sentence(text: str) -> str:
    """The text on one line, with one full stop at its end."""
    return " ".join(text.split()).rstrip(".") + "."


def listed(names: tuple[str, ...]) -> str:
    """The names as a sentence lists them."""
    return " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + " and " + names[-1]


def right_of_hundred(epsilon: float, delta: float) -> float:
    """How many of a hundred guesses can be right on average, rounded up to a tenth, where chance alone gives fifty.

    The best test whether one person's records were used, at even odds, is right with probability at most
    (e^ε + δ) / (e^ε + 1) under (ε, δ)-differential privacy.
    """
    wrong = (1 - delta) / (math.exp(epsilon) + 1)
    return min(100.0, math.ceil(1000 * (1 - wrong)) / 10)
