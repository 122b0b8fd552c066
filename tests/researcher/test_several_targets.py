"""An export on several targets is compared on all that they may be: every category of each, and numbers between."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.errors import InvalidInputError
from policies.manifest import parse_manifest
from policies.record_form import RecordForm, TensorForm
from researcher.export import export
from researcher.faithfulness import draw_sample
from researcher.plan import TrainingPlan
from tests.conftest import CLINIC

FORM = RecordForm(
    features=TensorForm(shape=(5,), dtype="float32", choices=None),
    target=TensorForm(shape=(3,), dtype="float32", choices=(4, None, 2)),
)


class BloodAndIllness(TrainingPlan):
    """One of four blood groups, a number, and whether somebody is ill."""

    def __init__(self, **metrics: Any) -> None:
        self.more = metrics

    def model(self) -> nn.Module:
        return nn.Linear(5, 6)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        blood = functional.cross_entropy(output[:, :4], target[:, 0].long())
        ill = functional.binary_cross_entropy_with_logits(output[:, 5], target[:, 2])
        return blood + ill + functional.mse_loss(output[:, 4], target[:, 1])

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        right = (output[:, :4].argmax(1) == target[:, 0].long()).float()
        return {"right": right, **{name: of(output, target) for name, of in self.more.items()}}

    def scores(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        return {"ill": (output[:, 5].sigmoid(), target[:, 2])}


def test_a_category_of_several_targets_may_be_a_label() -> None:
    assert export(BloodAndIllness(), FORM).measured.scores == ("ill",)


def test_what_goes_wrong_for_the_last_category_alone_is_noticed() -> None:
    with pytest.raises(InvalidInputError, match=r"leaves \[0, 1\]"):
        export(BloodAndIllness(blood=lambda _, target: (target[:, 0] - 2).clamp(min=0) * 2), FORM)


def test_each_target_is_drawn_as_its_column_may_be() -> None:
    targets = draw_sample(nn.Linear(5, 6), FORM).targets
    assert targets.dtype == torch.float32
    for number, most in ((0, 3), (2, 1)):
        column = targets[:, number]
        assert torch.equal(column, column.round())
        assert (column.min() >= 0, column.max() == most) == (True, True)
    assert not torch.equal(targets[:, 1], targets[:, 1].round())
    assert targets[:, 1].abs().max() <= 1


def test_the_manifest_says_which_targets_are_categories() -> None:
    several = CLINIC.replace('target = "ill"', 'target = ["blood", "pressure", "ill"]')
    assert parse_manifest(several.encode()).target_form == FORM.target
