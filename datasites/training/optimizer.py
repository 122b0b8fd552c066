"""Opacus' DP-SGD optimiser with one thing changed: where its noise comes from."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import SGD, Adam, Optimizer

from datasites.training.opacus_optimizer import OPACUS, DPOptimizer
from datasites.training.randomness import SecretStream
from policies import training_choices as choices
from policies.noise_grid import noise_grid
from policies.terms import Training


class TrainedParameter(Parameter):
    """By how much a parameter has changed in the round, with the step's sum of clipped gradients, float64, where Opacus
    keeps it.

    What a step adds must not be rounded to the parameter's own size: a large one would swallow its noise.
    """

    summed_grad: Tensor


class SecretNoiseOptimizer(DPOptimizer):  # type: ignore[misc]  # Opacus has no type information
    """Adds noise of standard deviation noise multiplier × clipping norm to sums of clipped gradients, divides, steps.

    Opacus draws its noise from torch's seedable generator; here it comes from a `SecretStream`. Everything is float64,
    and the noised sum is rounded to the grid of `policies.noise_grid`. Clipping is done before, as with Opacus' own
    `DPOptimizerFastGradientClipping`.
    """

    def __init__(
        self, parameters: Sequence[TrainedParameter], training: Training, divisor: float, stream: SecretStream
    ) -> None:
        super().__init__(
            _optimizer(parameters, training),
            noise_multiplier=training.noise_multiplier,
            max_grad_norm=training.clipping_norm,
            expected_batch_size=divisor,
        )
        self._stream = stream
        self._deviation = training.noise_multiplier * training.clipping_norm
        nominal_units = divisor / training.sampling_rate
        self._grid = noise_grid(training.noise_multiplier, training.clipping_norm, nominal_units)
        self._sums = [torch.zeros(it.shape, dtype=torch.float64) for it in parameters]
        self.zero_grad()
        self._weight_decay = training.optimizer.weight_decay if isinstance(training.optimizer, choices.AdamW) else 0.0

    def begin(self, learning_rate: float, values: Sequence[Tensor]) -> None:
        """Begin a step at `learning_rate`, with sums of zero; what decays by AdamW are the parameters' `values`."""
        self.zero_grad()
        for group in self.param_groups:
            group["lr"] = learning_rate
        if self._weight_decay:
            for parameter, value in zip(self.params, values, strict=True):
                parameter.data -= learning_rate * self._weight_decay * value

    @property
    def accumulated_iterations(self) -> int:
        """Opacus divides by it; all chunks of a step are one iteration."""
        return 1

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Begin a step: all sums are zero again. Their memory stays where it is; a fresh view tells a step's from the
        last one's, which Opacus marks as used up."""
        super().zero_grad(set_to_none)
        for parameter, total in zip(self.params, self._sums, strict=True):
            parameter.summed_grad = total.zero_().detach()

    def pre_step(self, closure: None = None) -> bool:
        """Noise and divide what was accumulated; Opacus would clip first."""
        self.add_noise()
        self.scale_grad()
        return True

    def add_noise(self) -> None:
        """Set each parameter's gradient to its clipped sum plus noise.

        Raises:
            RuntimeError: a sum has another shape than its parameter, so that one number of noise would serve several.
        """
        for parameter in self.params:
            if parameter.summed_grad.shape != parameter.shape:
                raise RuntimeError(f"A sum of shape {parameter.summed_grad.shape} came for {parameter.shape}.")
            OPACUS._check_processed_flag(parameter.summed_grad)
            noise = torch.from_numpy(self._stream.normals(parameter.numel())).reshape(parameter.shape)
            noised = parameter.summed_grad + self._deviation * noise
            parameter.grad = (noised / self._grid).round_().mul_(self._grid)
            OPACUS._mark_as_processed(parameter.summed_grad)


def _optimizer(parameters: Sequence[TrainedParameter], training: Training) -> Optimizer:
    match training.optimizer:
        case choices.Sgd() as sgd:
            return SGD(parameters, training.learning_rate, momentum=sgd.momentum)
        case choices.Adam() | choices.AdamW() as adam:
            return Adam(parameters, training.learning_rate, adam.decays, adam.epsilon)
