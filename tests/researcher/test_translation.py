"""Every operation that translates does so faithfully: the export itself compares programs and plans."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as people write it in plans
from torch import Tensor

from datasites.tensor_programs.bounds import check_bounds
from researcher.export import export
from tests.record_forms import columns
from tests.researcher.plans import Changed

ACTIVATIONS = [
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "softplus", "softsign", "tanh", "tanhshrink",
]  # fmt: skip


def test_every_usual_activation_exports() -> None:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(sum(getattr(F, name)(output) for name in ACTIVATIONS), target)

    check_bounds(export(Changed(loss=loss), columns(5, "int64")).loss, kind="loss")


LOSSES: list[Any] = [
    lambda o, t: F.mse_loss(o[:, 0], t.float()),
    lambda o, t: F.l1_loss(o[:, 0], t.float()) + F.smooth_l1_loss(o[:, 1], t.float(), beta=0.5),
    lambda o, t: F.binary_cross_entropy(o[:, 2].sigmoid(), (t == 1).float()),
    lambda o, t: F.binary_cross_entropy_with_logits(o[:, 2], (t == 1).float(), pos_weight=torch.tensor(3.0)),
    lambda o, t: F.nll_loss(o.log_softmax(-1), t),
    lambda o, t: F.kl_div(o.log_softmax(1), o.softmax(1).detach(), reduction="batchmean"),
    lambda o, t: ((o.softmax(1) - F.one_hot(t, 3)) ** 2).sum(1).mean(),
    lambda o, t: torch.relu(1 + o - o.gather(1, t[:, None])).sum(1).mean(),
    lambda o, t: torch.where((o > 0) & (o < 1), o, 0.0).masked_fill(o > 2, 1.0).sum(dim=1).sub(2).pow(2).mean(),
    lambda o, t: (o.logsumexp(1) - o.max(1).values + o.amin(1) + (1 - o).clamp(min=0).T.sum(0)).mean(),
    lambda o, t: (o.var(1) + 1e-6).sqrt().mean() + o.unbind(1)[0].exp().log1p().mean(),
    lambda o, t: (t.clamp(0, 1) * o[:, 0]).mean() + (t.clamp_max(1) * o[:, 1]).mean() + o.clamp_min(0.1).mean(),
    lambda o, t: (torch.stack([o, o * 2], 1).transpose(1, 2) @ torch.ones(2, 1)).squeeze(-1).reshape(len(t), -1).mean(),
]
"""Losses as people write them."""

EXPRESSIONS: list[Any] = [
    lambda o, t: o * (o >= o * 2) + o * (o > -o) + o * (o <= 2 * o) + o * (o < -o) + o * (o != -o) + o.squeeze(),
    lambda o, t: o.abs() + o.ceil() + o.floor() + o.round() + o.sign() + o.sgn() - o.neg(),
    lambda o, t: o.erf() + o.exp() + o.expm1() + o.square() + (2 + o.square()).log() + (1 + o.square()).rsqrt(),
    lambda o, t: (2 + o.square()).reciprocal() + (1 / (2 + o.square())).sqrt() + o.square().log1p(),
    lambda o, t: o.clamp(-0.2, 0.2) + o.clip(0, 1) + o.clamp_max(0.1) + o.clamp(max=0.5),
    lambda o, t: (
        torch.where((o > 0) | (o < -1), o, 2 * o) + torch.where(o > 0, 1.0, o) + torch.where(o > 0, 1.0, 2.0) * o
    ),
    lambda o, t: o * ((o > 0) ^ (o > 1)) + o * ~(o > 0) + o * (o >= 0) * (o <= 2) * (o != 1) * (o == o),
    lambda o, t: (
        o * torch.logical_and(o > 0, o < 1) + o * torch.logical_or(o > 0, o < -1) + o * torch.logical_not(o > 0)
    ),
    lambda o, t: o * torch.logical_xor(o > 0, o < 1) + o * torch.bitwise_and(o > 0, o < 1),
    lambda o, t: (
        o * torch.bitwise_or(o > 0, o < -1) + o * torch.bitwise_xor(o > 0, o < 1) + o * torch.bitwise_not(o > 0)
    ),
    lambda o, t: o.masked_fill(o > 0, torch.tensor(0.5)) + o.masked_fill(o < 0, 2),
    lambda o, t: torch.maximum(o, -o) + torch.minimum(o, o * 2) + torch.max(o, o + 1) + torch.min(o, o * 3),
    lambda o, t: o * (o.argmax(1) == t)[:, None] + o * (o.argmin(dim=1, keepdim=True) == 0),
    lambda o, t: (
        o.amax(1, keepdim=True) + o.max(1, keepdim=True)[0] - o.min(-1)[0][:, None] + o.min(1).indices[:, None]
    ),
    lambda o, t: o - o.mean(1, keepdim=True) + o.mean((1,), keepdim=True) * o.sum(-1, keepdim=True),
    lambda o, t: o * o.var(1, unbiased=False)[:, None] + torch.var(o, 1, correction=0, keepdim=True),
    lambda o, t: torch.stack([one.var() + one.max() + one.min() + one.sum() + one.max(0)[0] for one in o.unbind(0)]),
    lambda o, t: o.unsqueeze(1).expand(-1, 2, 3).flatten(1).unflatten(1, (2, 3)).sum(1) + o.view(-1, 3, 1).squeeze(2),
    lambda o, t: (
        o.unsqueeze(0).unsqueeze(3).squeeze((0, 3)) + torch.broadcast_to(o[:, :1], o.shape) + o[:, 1:2].expand_as(o)
    ),
    lambda o, t: (
        torch.cat([o[:, 1:], o[:, :1]], 1) + torch.cat(o.split([1, 2], dim=1)[::-1], 1) + torch.cat(o.split(2, 1), 1)
    ),
    lambda o, t: torch.cat(o.chunk(3, 1), dim=-1) + torch.stack(o.unbind(-1), dim=-1) + o[:, ::2].sum(1, keepdim=True),
    lambda o, t: o.T.t() + o.mT.transpose(0, 1) + o.permute(1, 0).T + o.contiguous().clone(),
    lambda o, t: (
        o * torch.arange(3) + o * torch.arange(3.0) + torch.ones(3) * o + torch.zeros(3) * o + torch.full((3,), 2.5) * o
    ),
    lambda o, t: (
        o * torch.ones_like(o) + torch.zeros_like(o) + torch.full_like(o, 0.5) + o.new_ones(3) + o.new_full((3,), 2)
    ),
    lambda o, t: (
        o.new_zeros(1, 3) + o @ torch.ones(3, 3) + torch.mm(o, torch.ones(3, 3)) + torch.addmm(o, o, torch.ones(3, 3))
    ),
    lambda o, t: (
        torch.bmm(o[:, None], torch.ones(3, 3).expand(len(o), 3, 3))[:, 0] + torch.mv(o, torch.ones(3))[:, None]
    ),
    lambda o, t: torch.stack([torch.dot(one, one) for one in o.unbind(0)]),
    lambda o, t: F.embedding(t, torch.arange(6.0).reshape(3, 2)) * o[:, :2] + F.prelu(o, torch.tensor([0.3]))[:, :2],
    lambda o, t: (
        F.group_norm(o[..., None] * torch.arange(2.0), 3, torch.ones(3), torch.zeros(3)).sum(-1)
        + F.layer_norm(o, (3,))
        + o
    ),
    lambda o, t: o + t.to(torch.float32)[:, None] - t.long()[:, None] + (t.clamp(0, 1) == 1).float()[:, None] + (5 - o),
    lambda o, t: (
        torch.rsub(o, o * 3)
        + torch.add(o, 1)
        + torch.sub(o, 2)
        + torch.mul(o, 3)
        + torch.div(o, 4)
        + o.masked_fill(o > 9, 1)
    ),
]
"""For each record some numbers; together they use every operation that translates."""


@pytest.mark.parametrize("loss", LOSSES)
def test_every_usual_loss_exports(loss: Any) -> None:
    check_bounds(export(Changed(loss=loss), columns(5, "int64")).loss, kind="loss")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_operation_translates_faithfully(expression: Any) -> None:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return expression(output, target).reshape(len(target), -1).mean()

    check_bounds(export(Changed(loss=loss), columns(5, "int64")).loss, kind="loss")
