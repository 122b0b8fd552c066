"""One step's gradients by others: torch without privacy, and Opacus by hooks and by ghost clipping, without noise."""

from collections.abc import Callable, Iterator, Mapping

import torch
from opacus import GradSampleModule
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import Tensor, nn

from tests.benchmarks.trainer_models import Model

NORM = 1.0
"""What each record's gradient is shortened to, in every benchmark of the trainer."""

Step = Callable[[], Mapping[str, Tensor]]
"""Does one step's work on the model's batch: gradients by parameter."""


def plain(model: Model) -> Step:
    """The mean loss, forward and backward: what training without privacy takes."""
    module = model.plan.model().train()
    features, target = model.draw()

    def step() -> Mapping[str, Tensor]:
        module.zero_grad()
        model.plan.loss(module(features), target).backward()
        return dict(_gradients(module))

    return step


def hooks(model: Model) -> Step:
    """Opacus with each record's gradient in memory, taken by hooks; the sum of the shortened ones."""
    module = model.plan.model().train()
    features, target = model.draw()
    wrapped = GradSampleModule(module, loss_reduction="sum")
    optimizer = DPOptimizer(_sgd(module), noise_multiplier=0.0, max_grad_norm=NORM, expected_batch_size=None,
                            loss_reduction="sum")  # fmt: skip
    criterion = model.plan.criterion(reduction="sum")

    def step() -> Mapping[str, Tensor]:
        optimizer.zero_grad()
        criterion(wrapped(features), target).backward()
        optimizer.clip_and_accumulate()
        return {name: it.summed_grad for name, it in module.named_parameters() if it.requires_grad}

    return step


def ghost(model: Model) -> Step:
    """Opacus with norms but no gradients of the records, and a second backward pass for the sum."""
    module = model.plan.model().train()
    features, target = model.draw()
    wrapped = GradSampleModuleFastGradientClipping(
        module, max_grad_norm=NORM, use_ghost_clipping=True, loss_reduction="sum"
    )
    optimizer = DPOptimizerFastGradientClipping(
        _sgd(module), noise_multiplier=0.0, max_grad_norm=NORM, expected_batch_size=None, loss_reduction="sum"
    )
    criterion = DPLossFastGradientClipping(wrapped, optimizer, model.plan.criterion(reduction="sum"), "sum")

    def step() -> Mapping[str, Tensor]:
        optimizer.zero_grad()
        criterion(wrapped(features), target).backward()
        return dict(_gradients(module))

    return step


def one_by_one(model: Model) -> Mapping[str, Tensor]:
    """The sum of the shortened gradients, each record's taken by itself with plain torch: what all must agree with."""
    module = model.plan.model().train()
    total: dict[str, Tensor] = {}
    for feature, target in zip(*model.draw(), strict=True):
        module.zero_grad()
        model.plan.loss(module(feature.unsqueeze(0)), target.unsqueeze(0)).backward()
        gradients = dict(_gradients(module))
        length = torch.stack([it.double().square().sum() for it in gradients.values()]).sum().sqrt()
        factor = float((NORM / length).clamp(max=1.0))
        for name, gradient in gradients.items():
            total[name] = total[name].add_(gradient, alpha=factor) if name in total else factor * gradient
    return total


def _sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD([it for it in module.parameters() if it.requires_grad], lr=1.0)


def _gradients(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            yield name, parameter.grad
