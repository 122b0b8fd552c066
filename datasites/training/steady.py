"""Calls of the library whose time follows the values they are given, and what is recorded in their place.

A researcher can aim a program's values at one person: negative for whoever has a trait, else positive. The library's
square root of negative numbers takes twenty times as long as of positive ones, its exponential of what over- or
underflows forty times, a choice between two tensors four times if it goes to and fro; and the time of a round is seen
outside. So these are computed by calls that run the same instructions whatever the values: vector instructions without
branches, on numbers brought into the range where no exception is raised. `make bench` times every operation on values
of all kinds (`tests.benchmarks.bench_steadiness`).

Results are the library's to within rounding, but for what lies at the ends of float32, where they are as defined here:
exponentials go from e^−87 to e^87, and logistic functions stay as they are at ±87; logarithms of zero and less are −∞,
and ln(1 + x) ends at 10³⁸. What is no number counts as −87 for an exponential, as the largest number for a logarithm
and else as 0; the place of the largest among numbers that are none is the last one.

The library's vector loops need operands that lie in a row; on others it computes one number after the other, with
branches. Hence `_in_a_row`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from datasites.training import steady_calls as calls
from datasites.training.steady_calls import in_a_row

_ATEN = torch.ops.aten


def steady(operation: Any, operands: Sequence[Any]) -> Callable[..., Any] | None:
    """What to call instead of `operation` on these operands; None if it may be called as it is."""
    instead = _STEADY.get(operation)
    return instead if operation in _CHOICES or _is_float32(operands) else None


def _is_float32(operands: Sequence[Any]) -> bool:
    return bool(operands) and isinstance(operands[0], Tensor) and operands[0].dtype == torch.float32


def _in_a_row(operation: Any) -> Callable[..., Any]:
    """The same operation, on operands of one shape that are contiguous."""

    def run(*operands: Any, **options: Any) -> Any:
        places = [number for number, it in enumerate(operands) if isinstance(it, Tensor) and it.ndim]
        shape = torch.broadcast_shapes(*[operands[number].shape for number in places])  # type: ignore[no-untyped-call]
        laid = {number: in_a_row(operands[number].expand(shape)) for number in places}
        return operation(*[laid.get(number, it) for number, it in enumerate(operands)], **options)

    return run


def _in_place(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *operands: x.copy_(compute(x, *operands))


_CHOICES: Mapping[Any, Callable[..., Any]] = {
    _ATEN.where.self: calls.chosen,
    _ATEN.masked_fill.Scalar: calls.filled,
    _ATEN.masked_fill_.Scalar: _in_place(calls.filled),
    _ATEN.argmax.default: calls.argmax,
    _ATEN.argmin.default: calls.argmin,
}
_STEADY: Mapping[Any, Callable[..., Any]] = {
    **_CHOICES,
    _ATEN._prelu_kernel.default: calls.prelu,
    _ATEN._prelu_kernel_backward.default: calls.prelu_backward,
    _ATEN.celu.default: calls.celu,
    _ATEN.elu.default: calls.elu,
    _ATEN.exp.default: calls.exp,
    _ATEN.exp_.default: _in_place(calls.exp),
    _ATEN.log.default: calls.log,
    _ATEN.log_.default: _in_place(calls.log),
    _ATEN.log1p.default: calls.log1p,
    _ATEN.log1p_.default: _in_place(calls.log1p),
    _ATEN.log_sigmoid_backward.default: calls.log_sigmoid_backward,
    _ATEN.log_sigmoid_forward.default: calls.log_sigmoid_forward,
    _ATEN.logsumexp.default: calls.logsumexp,
    _ATEN.mish.default: calls.mish,
    _ATEN.pow.Tensor_Scalar: calls.pow,
    _ATEN.scatter_add.default: calls.scatter_add,
    _ATEN.sigmoid.default: calls.sigmoid,
    _ATEN.softplus.default: calls.softplus,
    _ATEN.softplus_backward.default: calls.softplus_backward,
    _ATEN.sqrt.default: calls.sqrt,
    _ATEN.tanh.default: calls.tanh,
    _ATEN.xlogy.Tensor: calls.xlogy,
    **{
        operation: _in_a_row(operation)
        for operation in (
            _ATEN.elu_backward.default,
            _ATEN.erf.default,
            _ATEN.expm1.default,
            _ATEN.gelu.default,
            _ATEN.gelu_backward.default,
            _ATEN.hardsigmoid.default,
            _ATEN.hardsigmoid_backward.default,
            _ATEN.hardswish.default,
            _ATEN.hardswish_backward.default,
            _ATEN.hardtanh.default,
            _ATEN.hardtanh_backward.default,
            _ATEN.huber_loss.default,
            _ATEN.leaky_relu.default,
            _ATEN.leaky_relu_backward.default,
            _ATEN.maximum.default,
            _ATEN.minimum.default,
            _ATEN.rsqrt.default,
            _ATEN.silu.default,
            _ATEN.silu_backward.default,
            _ATEN.smooth_l1_loss.default,
            _ATEN.threshold_backward.default,
        )
    },
}
