"""Convolutional plans: exported, parsed and loaded as a site would, their gradients are the plan's; or a refusal."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as people write it in plans
from torch import Tensor, nn

from datasites.tensor_programs.load import flatten, load_parameters, unflatten
from datasites.training.data import UnitData
from policies.errors import InvalidInputError
from policies.programs.check import check_pair
from policies.programs.format import parse_program
from researcher.export import export
from researcher.plan import TrainingPlan
from tests.clipped_sums import contributions, recorded, trained_loss
from tests.record_forms import columns
from tests.researcher.convolution_plans import PIXELS, LeNetPlan, ResidualPlan, SequencePlan
from tests.researcher.plans import Changed

PLANS = [LeNetPlan(), ResidualPlan(), SequencePlan()]


@pytest.mark.parametrize("path", ["full", "layer-wise"])
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: type(plan).__name__)
def test_gradients_per_unit_are_those_of_an_eager_loop(plan: TrainingPlan, path: str) -> None:
    exported = export(plan, columns(PIXELS, "int64"))
    check_pair(exported.loss, exported.metrics)
    program = parse_program(exported.loss.canonical())
    values = load_parameters(exported.parameters, program, maximum_bytes=10**7)
    generator = torch.Generator().manual_seed(5)
    features = torch.rand(9, 2, PIXELS, generator=generator) * 16
    target = torch.randint(10, (9, 2), generator=generator)
    mask = torch.tensor([[True, unit % 3 > 0] for unit in range(9)])
    trained = unflatten(flatten(values, program), program)
    data = UnitData((features, target), mask)
    got = contributions(recorded(trained_loss(program, values), data, 1e6, path), trained, data)
    named = dict(exported.model.named_parameters())
    for unit in range(9):
        rows, labels = features[unit][mask[unit]], target[unit][mask[unit]]
        losses = [plan.loss(exported.model(x[None]), y[None]) for x, y in zip(rows, labels, strict=True)]
        expected = torch.autograd.grad(torch.stack(losses).sum(), [named[name] for name in got])
        for name, gradient in zip(got, expected, strict=True):
            torch.testing.assert_close(got[name][unit].float(), gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: type(plan).__name__)
def test_exporting_what_was_loaded_from_an_export_gives_the_same_bytes(plan: TrainingPlan) -> None:
    first = export(plan, columns(PIXELS, "int64"))
    loaded = load_parameters(first.parameters, parse_program(first.loss.canonical()), maximum_bytes=10**7)
    model = plan.model()
    for value in model.parameters():
        nn.init.zeros_(value)
    model.load_state_dict(loaded, strict=False)

    class Loaded(type(plan)):  # type: ignore[misc]
        def model(self) -> nn.Module:
            return model

    second = export(Loaded(), columns(PIXELS, "int64"))
    assert (second.loss, second.metrics) == (first.loss, first.metrics)
    assert second.loss.canonical() == first.loss.canonical()
    assert second.parameters == first.parameters


def images(operation: Any) -> Changed:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        result = operation(output.reshape(-1, 2, 6, 5))
        return (result.square() * (1 + torch.arange(result[0].numel())).reshape(result.shape[1:])).mean()

    return Changed(model=lambda: nn.Linear(5, 60), loss=loss)


WEIGHT = torch.linspace(-1, 1, 4 * 2 * 3 * 2).reshape(4, 2, 3, 2)
OPERATIONS: list[Any] = [
    lambda x: F.conv2d(x, WEIGHT),
    lambda x: F.conv2d(x, WEIGHT, torch.arange(4.0), stride=(2, 1), padding=(1, 2), dilation=(2, 1)),
    lambda x: F.conv2d(x, WEIGHT[:, :1], groups=2, padding="valid"),
    lambda x: F.conv1d(x.flatten(2), WEIGHT[:, :, :, 0], torch.ones(4), stride=2, padding=1, dilation=3),
    lambda x: F.max_pool2d(x, (3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2)),
    lambda x: F.max_pool1d(x.flatten(2), 4, 3, padding=2),
    lambda x: F.avg_pool2d(x, (3, 2), stride=1, padding=1) + F.avg_pool2d(
        x, (3, 2), stride=1, padding=1, count_include_pad=False
    ),
    lambda x: F.avg_pool1d(x.flatten(2), 4, padding=1),
    lambda x: F.adaptive_avg_pool2d(x, 1) + F.adaptive_avg_pool2d(x, (4, 3)).sum((2, 3), keepdim=True),
    lambda x: F.adaptive_avg_pool2d(x, (None, 7)),
    lambda x: F.adaptive_avg_pool1d(x.flatten(2), 4) + F.adaptive_avg_pool1d(x.flatten(2), 1),
    lambda x: F.adaptive_max_pool2d(x, (3, 1)) + F.adaptive_max_pool2d(x, 1),
    lambda x: F.adaptive_max_pool1d(x.flatten(2), 6),
    lambda x: F.pad(x, (1, 0, 2, 3)) + F.pad(x, (0, 1, 5, 0), value=2.5),
    lambda x: F.conv2d(x.reshape(-1, 1, 6, 5), WEIGHT[:, :1]).reshape(len(x), 2, 4, 4, 4),
]  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_form_of_convolution_and_pooling_translates_faithfully(operation: Any) -> None:
    assert export(images(operation), columns(5, "int64")).parameter_count == 360


class Normalising(nn.Module):
    """Batch statistics by function: there is no module to find."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 60)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(self.linear(x).reshape(-1, 2, 6, 5), None, None, training=True).mean((2, 3))


REFUSED: list[tuple[Changed, str]] = [
    (Changed(model=lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8))), r"'1' is a BatchNorm1d.*GroupNorm"),
    (Changed(model=Normalising), r"batch_norm.* \(test_convolutions.py:\d+ `return F.batch_norm.*nn.GroupNorm"),
    (images(lambda x: F.conv2d(x, WEIGHT[..., :1, :], padding="same")), "odd kernel"),
    (images(lambda x: F.conv2d(x[:, 0], WEIGHT[:, :1])), "keep the batch's"),
    (images(lambda x: F.conv_transpose2d(x, WEIGHT.transpose(0, 1))), "nn.Conv2d"),
    (images(lambda x: F.conv3d(x[:, :, None], WEIGHT[:, :, None])), "nn.Conv1d or nn.Conv2d"),
    (images(lambda x: F.max_pool2d(x, 2, ceil_mode=True)), "ceil_mode=True.*leave it out"),
    (images(lambda x: F.avg_pool2d(x, 2, divisor_override=3)), "divisor_override=3.*leave it out"),
    (images(lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float()), "return_indices out"),
    (images(lambda x: F.adaptive_max_pool2d(x, 1, return_indices=True)[1].float()), "positions"),
    (images(lambda x: F.adaptive_max_pool2d(x, 4)), "divides"),
    (images(lambda x: F.adaptive_avg_pool2d(x, (1, 67))), "64 windows"),
    (images(lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")), "constant padding"),
    (images(lambda x: F.pad(x, (-1, 1))), "constant padding"),
    (images(lambda x: F.interpolate(x, scale_factor=2)), "expand"),
    (images(lambda x: F.max_pool2d(x, 600, padding=300)), "1 to 256"),
]


@pytest.mark.parametrize(("plan", "text"), REFUSED)
def test_what_has_no_program_is_refused_with_its_remedy(plan: Changed, text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        export(plan, columns(5, "int64"))
