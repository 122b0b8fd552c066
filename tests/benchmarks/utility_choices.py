"""What was chosen: models and numbers by data set, setting and ε, on salts that are not reported."""

from tests.benchmarks.utility_table import CellKey
from tests.benchmarks.utility_training import Choice

_TUMOURS = "logistic regression"
_DIGITS = "regression on strokes"

CHOICES: dict[CellKey, Choice] = {
    ("breast cancer", "alone", None): Choice(_TUMOURS, 100, 1, 1.0, 0.5),
    ("breast cancer", "federated", None): Choice(_TUMOURS, 100, 1, 1.0, 0.5),
    ("breast cancer", "pooled", None): Choice(_TUMOURS, 100, 1, 1.0, 0.5),
    ("breast cancer", "alone", 8.0): Choice(_TUMOURS, 40, 1, 1.0, 2.0),
    ("breast cancer", "federated", 8.0): Choice(_TUMOURS, 40, 1, 1.0, 4.0),
    ("breast cancer", "distributed", 8.0): Choice(_TUMOURS, 40, 1, 1.0, 4.0, update_range=32.0, promised=9.68),
    ("breast cancer", "pooled", 8.0): Choice(_TUMOURS, 40, 1, 1.0, 4.0),
    ("breast cancer", "alone", 3.0): Choice(_TUMOURS, 40, 1, 1.0, 1.0),
    ("breast cancer", "federated", 3.0): Choice(_TUMOURS, 40, 1, 1.0, 2.0),
    ("breast cancer", "distributed", 3.0): Choice(_TUMOURS, 40, 1, 1.0, 2.0, update_range=32.0, promised=3.59),
    ("breast cancer", "pooled", 3.0): Choice(_TUMOURS, 40, 1, 1.0, 4.0),
    ("breast cancer", "alone", 1.0): Choice(_TUMOURS, 40, 1, 1.0, 0.25),
    ("breast cancer", "federated", 1.0): Choice(_TUMOURS, 40, 1, 1.0, 0.5),
    ("breast cancer", "distributed", 1.0): Choice(_TUMOURS, 40, 1, 1.0, 1.0, update_range=32.0, promised=1.19),
    ("breast cancer", "pooled", 1.0): Choice(_TUMOURS, 40, 1, 1.0, 1.0),
    ("digits", "alone", None): Choice(_DIGITS, 100, 1, 1.0, 2.0),
    ("digits", "federated", None): Choice(_DIGITS, 100, 1, 1.0, 2.0),
    ("digits", "pooled", None): Choice(_DIGITS, 100, 1, 1.0, 2.0),
    ("digits", "alone", 8.0): Choice(_DIGITS, 40, 1, 1.0, 4.0),
    ("digits", "federated", 8.0): Choice(_DIGITS, 40, 1, 1.0, 8.0),
    ("digits", "distributed", 8.0): Choice(_DIGITS, 40, 1, 1.0, 8.0, update_range=32.0, promised=9.77),
    ("digits", "pooled", 8.0): Choice(_DIGITS, 40, 1, 1.0, 8.0),
    ("digits", "alone", 3.0): Choice(_DIGITS, 20, 1, 1.0, 4.0),
    ("digits", "federated", 3.0): Choice(_DIGITS, 20, 1, 1.0, 4.0),
    ("digits", "distributed", 3.0): Choice(_DIGITS, 20, 1, 1.0, 8.0, update_range=32.0, promised=3.62),
    ("digits", "pooled", 3.0): Choice(_DIGITS, 20, 1, 1.0, 8.0),
    ("digits", "alone", 1.0): Choice(_DIGITS, 20, 1, 1.0, 1.0),
    ("digits", "federated", 1.0): Choice(_DIGITS, 20, 1, 1.0, 2.0),
    ("digits", "distributed", 1.0): Choice(_DIGITS, 20, 1, 1.0, 2.0, update_range=32.0, promised=1.2),
    ("digits", "pooled", 1.0): Choice(_DIGITS, 20, 1, 1.0, 4.0),
}
"""Of the candidates that `tests.benchmarks.utility_search` lists, on its salts. They were not all trained: these models
are linear in what they train, so candidates were ranked by a computation apart from the product's, and the first few of
them by the product's training.
"""
