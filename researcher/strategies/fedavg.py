"""Federated averaging (McMahan et al. 2017, algorithm 1): the global model moves by the sites' weighted mean update."""

import numpy as np
from numpy.typing import NDArray


def federated_average(model: NDArray[np.float32], mean_update: NDArray[np.float64]) -> NDArray[np.float32]:
    """The next global model: `model` plus `mean_update`, both [parameters]; float32."""
    return (model.astype(np.float64) + mean_update).astype(np.float32)
