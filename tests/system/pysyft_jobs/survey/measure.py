"""What the survey measures."""

import numpy as np
import pandas as pd


def histogram(values: pd.Series, bins: int) -> np.ndarray:
    """How many values lie in each of `bins` equal parts of their range."""
    counts, _ = np.histogram(values, bins=bins)
    return counts
