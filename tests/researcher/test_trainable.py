"""Fine-tuning by name pattern: what a pattern matches is trained, all else is frozen, and a slip is refused."""

from typing import Any

import pytest
import torch
from torch import nn

from policies.errors import InvalidInputError
from researcher.export import export
from researcher.plan import TrainingPlan
from tests.models.classification import Classification
from tests.record_forms import columns


class Stacked(Classification):
    """Three layers, of which the last shares its weight with `twin`; the first came frozen."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Layers()


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList([nn.Linear(5, 5).requires_grad_(False), nn.Linear(5, 5)])
        self.head, self.twin, self.unused = nn.Linear(5, 3), nn.Linear(5, 3), nn.Linear(2, 2)
        self.twin.weight = self.head.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.body:
            x = torch.tanh(layer(x))
        return self.head(x) + self.twin(x)


def tuned(trainable: Any) -> TrainingPlan:
    return type("Tuned", (Stacked,), {"trainable": trainable})()


def trained(*patterns: str) -> list[str]:
    return [entry.name for entry in export(tuned(patterns or ("*",)), columns(5, "int64", 3)).loss.parameters]


def test_what_is_not_matched_is_frozen_and_travels_as_a_constant() -> None:
    exported = export(tuned(("head.*",)), columns(5, "int64", 3))
    assert [entry.name for entry in exported.loss.parameters] == ["head.bias", "head.weight"]
    assert [entry.name for entry in exported.loss.constants] == [
        "body.0.bias", "body.0.weight", "body.1.bias", "body.1.weight", "twin.bias",
    ]  # fmt: skip
    assert not exported.model.get_parameter("body.1.weight").requires_grad


def test_all_is_trained_without_a_pattern_but_what_came_frozen_or_what_no_loss_reaches() -> None:
    assert trained() == ["body.1.bias", "body.1.weight", "head.bias", "head.weight", "twin.bias"]


def test_patterns_add_up_and_any_name_of_a_shared_weight_counts() -> None:
    assert trained("body.?.bias", "twin.w*") == ["body.1.bias", "head.weight"]


def test_a_pattern_that_matches_nothing_is_refused_with_names_that_are_close() -> None:
    with pytest.raises(InvalidInputError, match=r"'haed\.\*' matches no parameter; .*'head\.(weight|bias)'"):
        trained("body.*", "haed.*")


def test_a_pattern_of_frozen_parameters_alone_leaves_nothing_to_train() -> None:
    with pytest.raises(InvalidInputError, match="nothing to train"):
        trained("body.0.*")


def test_one_pattern_without_a_tuple_is_told_so() -> None:
    with pytest.raises(InvalidInputError, match=r"write a tuple of patterns: \('head\.\*',\)"):
        export(tuned("head.*"), columns(5, "int64", 3))


def test_a_part_in_eval_mode_keeps_it_and_draws_nothing() -> None:
    class Mixed(Classification):
        def model(self) -> nn.Module:
            frozen = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5)).requires_grad_(False).eval()
            return nn.Sequential(frozen, nn.Dropout(0.1), nn.Linear(8, 3))

    exported = export(Mixed(), columns(5, "int64", 3))
    assert [draw.shape for draw in exported.loss.draws] == [(1, 8)]
    assert exported.metrics.draws == ()
    assert [exported.model[0].training, exported.model[1].training] == [False, True]
