"""What the search chose: models and numbers by data set, setting and ε, on salts that are not reported."""

from tests.benchmarks.utility_table import CellKey
from tests.benchmarks.utility_training import Choice

_TUMOURS = "logistic regression"
_TUMOURS_TIGHT = "perceptron 30-64-1"
_DIGITS = "multinomial regression"
_DIGITS_FREE = "convolutional network"

CHOICES: dict[CellKey, Choice] = {
    ("breast cancer", "alone", None): Choice(_TUMOURS, 100, 1, 1.0, 2.0),
    ("breast cancer", "federated", None): Choice(_TUMOURS, 100, 1, 1.0, 2.0),
    ("breast cancer", "pooled", None): Choice(_TUMOURS, 100, 1, 1.0, 2.0),
    ("breast cancer", "alone", 8.0): Choice(_TUMOURS, 40, 1, 1.0, 2.0),
    ("breast cancer", "federated", 8.0): Choice(_TUMOURS, 40, 1, 1.0, 4.0),
    ("breast cancer", "pooled", 8.0): Choice(_TUMOURS, 40, 1, 1.0, 4.0),
    ("breast cancer", "alone", 3.0): Choice(_TUMOURS, 40, 1, 1.0, 1.0),
    ("breast cancer", "federated", 3.0): Choice(_TUMOURS, 40, 1, 1.0, 2.0),
    ("breast cancer", "pooled", 3.0): Choice(_TUMOURS, 40, 1, 1.0, 2.0),
    ("breast cancer", "alone", 1.0): Choice(_TUMOURS_TIGHT, 20, 1, 1.0, 0.5),
    ("breast cancer", "federated", 1.0): Choice(_TUMOURS_TIGHT, 20, 1, 1.0, 1.0),
    ("breast cancer", "pooled", 1.0): Choice(_TUMOURS_TIGHT, 20, 1, 1.0, 0.5),
    ("digits", "alone", None): Choice(_DIGITS_FREE, 100, 1, 1.0, 1.0),
    ("digits", "federated", None): Choice(_DIGITS_FREE, 100, 1, 1.0, 1.0),
    ("digits", "pooled", None): Choice(_DIGITS_FREE, 100, 1, 1.0, 1.0),
    ("digits", "alone", 8.0): Choice(_DIGITS, 40, 1, 0.5, 2.0),
    ("digits", "federated", 8.0): Choice(_DIGITS, 40, 1, 0.5, 4.0),
    ("digits", "pooled", 8.0): Choice(_DIGITS, 40, 1, 0.5, 8.0),
    ("digits", "alone", 3.0): Choice(_DIGITS, 20, 1, 0.5, 4.0),
    ("digits", "federated", 3.0): Choice(_DIGITS, 20, 1, 0.5, 8.0),
    ("digits", "pooled", 3.0): Choice(_DIGITS, 20, 1, 0.5, 8.0),
    ("digits", "alone", 1.0): Choice(_DIGITS, 20, 1, 0.5, 2.0),
    ("digits", "federated", 1.0): Choice(_DIGITS, 20, 1, 0.5, 4.0),
    ("digits", "pooled", 1.0): Choice(_DIGITS, 20, 1, 0.5, 2.0),
}
"""`tests.benchmarks.utility_search` found them: see there what it tried."""
