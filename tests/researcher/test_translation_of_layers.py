"""Attention, positions, padding, long joins and random numbers: each form translates to what torch computes."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as people write it in plans
from torch import Tensor, nn

from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.load import load_parameters
from policies.errors import InvalidInputError
from researcher.export import ExportedPlan, export
from tests.record_forms import columns
from tests.researcher.plans import Changed

attend = F.scaled_dot_product_attention
BOOLEAN = torch.tensor([[True, False, True, True]] * 4)
TABLE = torch.arange(9.0).reshape(3, 3)


def wide() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(5, 24)


def exported(loss: Any) -> ExportedPlan:
    plan = Changed(model=wide, loss=loss, metrics=lambda o, t: {"high": (o[:, 0] > 0).float()})
    return export(plan, columns(5, "int64", 3))


def heads(o: Tensor) -> Tensor:
    """[B, 2 heads, 4 positions, 3]."""
    return o.reshape(len(o), 2, 4, 3)


LOSSES: dict[str, Any] = {
    "plain": lambda o, t: attend(heads(o), heads(o) * 2, heads(o) + 1).square().mean(),
    "causal": lambda o, t: attend(heads(o), heads(o), heads(o), is_causal=True).square().mean(),
    "boolean mask": lambda o, t: attend(heads(o), heads(o), heads(o), attn_mask=BOOLEAN).square().mean(),
    "added mask": lambda o, t: (
        attend(heads(o), heads(o), heads(o), attn_mask=BOOLEAN.float(), scale=0.3).square().mean()
    ),
    "three dimensions": lambda o, t: attend(o.view(-1, 8, 3), o.view(-1, 8, 3)[:, :5], o.view(-1, 8, 3)[:, 3:]).mean(),
    "with dropout": lambda o, t: attend(heads(o), heads(o), heads(o), dropout_p=0.4).square().mean(),
    "one position": lambda o, t: (o[:, torch.tensor([3, 1, 1])] * torch.tensor([1.0, 2.0, 3.0])).mean(),
    "two positions": lambda o, t: heads(o)[:, torch.tensor([[0], [1]]), torch.tensor([2, 0, 3])].square().mean(),
    "own position": lambda o, t: F.one_hot(t, 3)[:, torch.arange(3)].mul(o[:, :3]).sum(1).mean(),
    "backwards": lambda o, t: (heads(o).flip(1, 3) * heads(o) * torch.arange(3)).sum((1, 2, 3)).mean(),
    "long stack": lambda o, t: torch.stack([o[:, k % 24] * k for k in range(150)], 1).square().mean(),
    "long join": lambda o, t: torch.cat([o[:, k % 20 : k % 20 + 2] for k in range(70)], 1).square().mean(),
    "padding": lambda o, t: (F.embedding(t, TABLE, padding_idx=1).square() * o[:, :3]).sum(1).mean(),
    "one half": lambda o, t: (F.dropout(o, 0.5) * torch.rand_like(o)).sum(1).mean(),
    "all dropped": lambda o, t: F.dropout(o, 1.0).mean() + o.mean(),
    "none dropped": lambda o, t: F.dropout(o, 0.0).mean() + F.dropout(o, 0.5, training=False).square().mean(),
    "normal": lambda o, t: (o + torch.randn(o.shape) + torch.empty_like(o).normal_(1.0, 2.0)).square().mean(),
    "even": lambda o, t: (o * torch.empty_like(o).uniform_(-1, 3)).square().mean(),
    "coins": lambda o, t: (o * torch.bernoulli(o.sigmoid().detach())).square().mean(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_form_translates_to_what_torch_computes(name: str) -> None:
    """The export itself compares gradients with the plan's, under the same random numbers."""
    exported(LOSSES[name])


def test_dropout_keeps_what_is_drawn_at_least_p_and_enlarges_it() -> None:
    plan = exported(lambda o, t: (F.dropout(o, 0.25) * torch.arange(24)).sum(1).mean())
    values = load_parameters(plan.parameters, plan.loss, maximum_bytes=len(plan.parameters))
    features, drawn = torch.rand(5), torch.rand(1, 24)
    (got,) = interpret(plan.loss)(values, features, torch.tensor(0), drawn)
    output = plan.model(features.unsqueeze(0))
    expected = (torch.where(drawn >= 0.25, output / 0.75, 0.0) * torch.arange(24)).sum()
    torch.testing.assert_close(got, expected)
    assert [draw.op for draw in plan.loss.draws] == ["uniform"]


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (lambda o, t: attend(heads(o), heads(o)[:, :1], heads(o)[:, :1], enable_gqa=True).mean(), "enable_gqa"),
        (lambda o, t: heads(o)[:, torch.tensor([0, 1]), :, torch.tensor([0, 1])].mean(), "neighbours"),
        (lambda o, t: o[:, torch.tensor([True, False] * 12)].mean(), "torch.where"),
        (lambda o, t: (F.embedding(t, TABLE, scale_grad_by_freq=True) * o[:, :3]).mean(), "scale_grad_by_freq"),
        (lambda o, t: o.mean() * (torch.rand(3).sum() > 9 or True), "torch.where"),
    ],
)
def test_a_form_that_programs_lack_is_refused_with_its_remedy(loss: Any, text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        exported(loss)
