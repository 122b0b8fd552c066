"""Scores of records, counted in equal bins apart by label, in work that does not depend on the scores."""

import torch
from torch import Tensor

_PLACES_AT_A_TIME = 2**20


def histogram(scores: Tensor, labels: Tensor, shares: Tensor, bins: int) -> Tensor:
    """How much of the records lies in each bin of [0, 1]: label 0's bins, then label 1's, float64 [2 × bins].

    Each record adds its share (≥ 0) at one place and nothing anywhere else, whatever its values are: a score is clipped
    to [0, 1] (not finite counts as 0) and 1 lies in the last bin; a label below ½, or not a number, counts as 0. Every
    record is compared with every bin, so that neither time nor memory tells where one lies.

    Args:
        scores, labels: (records,), float32. shares: (records,), float64.
    """
    clipped = torch.nan_to_num(scores, nan=0.0, posinf=0.0, neginf=0.0).clamp(0.0, 1.0).double()
    places = (clipped * bins).floor().clamp(max=bins - 1)
    of_labels = torch.stack([(labels < 0.5) | labels.isnan(), labels >= 0.5]) * shares
    counts = torch.zeros((2, bins), dtype=torch.float64)
    size = max(1, _PLACES_AT_A_TIME // bins)
    for start in range(0, len(places), size):
        hits = places[start : start + size, None] == torch.arange(bins)
        counts += of_labels[:, start : start + size] @ hits.double()
    return counts.flatten()
