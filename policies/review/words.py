"""How summaries quote what a researcher wrote, and say what a privacy loss means to people, and how a model learns."""

import math

from policies.terms import Training
from policies.training_choices import Adam, AdamW, Schedule, Sgd


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


def steps_in_words(training: Training) -> str:
    """By which optimiser and at which learning rate a study's steps are taken."""
    match training.optimizer:
        case Sgd(momentum=momentum):
            steps = "SGD without momentum" if momentum == 0 else f"SGD with momentum {momentum:g}"
        case Adam(decays=(first, second), epsilon=epsilon):
            steps = f"Adam (β₁={first:g}, β₂={second:g}, {epsilon:g} added to its root)"
        case AdamW(decays=(first, second), epsilon=epsilon, weight_decay=decay):
            steps = f"AdamW (β₁={first:g}, β₂={second:g}, {epsilon:g} added to its root, weight decay {decay:g})"
    return f"{steps}, learning rate {training.learning_rate:g}{_course(training.schedule)}"


def _course(schedule: Schedule) -> str:
    warm_up = f" after {schedule.warm_up_steps} steps of warm-up" if schedule.warm_up_steps else ""
    if schedule.type == "constant":
        return warm_up
    return f"{warm_up}, falling to 0 over all steps {'in a line' if schedule.type == 'linear' else 'as a cosine'}"
