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

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_ATEN = torch.ops.aten
_SMALLEST, _LARGEST = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max
_LARGE = 1e38
_MOST_EXPONENT = 87.0
_LOG2_E = math.log2(math.e)
_LN_2_HIGH = 0.693359375  # nine bits: times a whole number below 2¹⁵ it is exact (Cody & Waite 1980)
_LN_2_LOW = math.log(2) - _LN_2_HIGH
_FEW_PLACES = 64
_SATURATED = 10.0  # the hyperbolic tangent is 1 in float32 from 9.1 on
_BITS = {1: torch.uint8, 4: torch.int32, 8: torch.int64}


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
        laid = {number: _row(operands[number].expand(shape)) for number in places}
        return operation(*[laid.get(number, it) for number, it in enumerate(operands)], **options)

    return run


def _row(x: Tensor) -> Tensor:
    return x if x.is_contiguous() else x.contiguous()


def _in_place(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *operands: x.copy_(compute(x, *operands))


def _mended(x: Tensor, instead: float, least: float, most: float) -> Tensor:
    """`x` between two numbers, and another one `instead` of what is no number."""
    return torch.nan_to_num(_row(x), nan=instead).clamp(least, most)


def _mask(condition: Tensor, kind: torch.dtype) -> Tensor:
    return condition.to(kind).neg()


def _chosen(condition: Tensor, x: Tensor, other: Tensor) -> Tensor:
    """`x` where the condition holds, else `other`: by bits."""
    kind = torch.result_type(x, other)
    x, other, bits = x.to(kind), other.to(kind), _BITS[kind.itemsize]
    mask = _mask(condition, bits)
    found = (x.view(bits) & mask) | (other.view(bits) & ~mask)
    return found.view(kind)


def _filled(x: Tensor, mask: Tensor, value: float) -> Tensor:
    return _chosen(mask, torch.full((), value, dtype=x.dtype), x)


def _exp(x: Tensor) -> Tensor:
    """e^x = 2^n · 2^((x − n · ln 2) / ln 2), with n the whole number next to x / ln 2."""
    x = _mended(x, -_MOST_EXPONENT, -_MOST_EXPONENT, _MOST_EXPONENT)
    whole = (x * _LOG2_E).round()
    rest = x.add(whole, alpha=-_LN_2_HIGH).add(whole, alpha=-_LN_2_LOW)
    return torch.exp2(whole) * torch.exp2(rest * _LOG2_E)


def _log(x: Tensor) -> Tensor:
    none = _mask(x <= 0, torch.int32) & torch.full((), -torch.inf).view(torch.int32)
    return torch.log(_mended(x, _LARGEST, _SMALLEST, _LARGEST)) + none.view(torch.float32)


def _log1p(x: Tensor) -> Tensor:
    return torch.log1p(_mended(x, 0.0, -1.0, _LARGE))


def _sqrt(x: Tensor) -> Tensor:
    return _row(x).rsqrt().reciprocal()


def _pow(x: Tensor, exponent: float) -> Tensor:
    return _sqrt(x) if exponent == 0.5 else torch.pow(_row(x), exponent)


def _tanh(x: Tensor) -> Tensor:
    return torch.tanh(_mended(x, 0.0, -_SATURATED, _SATURATED))


def _sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(_mended(x, 0.0, -_MOST_EXPONENT, _MOST_EXPONENT))


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    low = torch.expm1((_row(x) * input_scale).clamp(max=0.0))
    return x.clamp(min=0.0) * scale + low * (alpha * scale)


def _celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return _elu(x, alpha, 1.0, 1.0 / alpha)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return _chosen(x > 0, x, slope * x)


def _prelu_backward(gradient: Tensor, x: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    above = x > 0
    return _chosen(above, gradient, slope * gradient), _chosen(above, torch.zeros(()), x * gradient)


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """(x)₊ + ln(1 + e^−|βx|) / β, and x itself beyond the threshold."""
    soft = x.clamp(min=0.0) + _log1p(_exp((x * beta).abs().neg())) / beta
    return _chosen(x * beta > threshold, x, soft)


def _softplus_backward(gradient: Tensor, x: Tensor, beta: float, threshold: float) -> Tensor:
    return _chosen(x * beta > threshold, gradient, gradient * _sigmoid(x * beta))


def _log_sigmoid_forward(x: Tensor) -> tuple[Tensor, Tensor]:
    kept = _exp(x.abs().neg())
    return x.clamp(max=0.0) - _log1p(kept), kept


def _log_sigmoid_backward(gradient: Tensor, x: Tensor, kept: Tensor) -> Tensor:
    return gradient * _sigmoid(x.neg())


def _mish(x: Tensor) -> Tensor:
    return x * _tanh(_softplus(x))


def _xlogy(x: Tensor, y: Tensor) -> Tensor:
    return _chosen(x == 0, torch.zeros(()), x * _log(y))


def _logsumexp(x: Tensor, dims: list[int], keep: bool = False) -> Tensor:
    if not x.numel():
        return x.sum(dims, keepdim=keep) - torch.inf
    largest = x.amax(dims, keepdim=True)
    result = _log(_exp(x - largest).sum(dims, keepdim=True)) + largest
    return result if keep else result.amax(dims)


def _argmax(x: Tensor, dim: int, keep: bool = False) -> Tensor:
    return _place(x == x.amax(dim, keepdim=True), dim, keep)


def _argmin(x: Tensor, dim: int, keep: bool = False) -> Tensor:
    return _place(x == x.amin(dim, keepdim=True), dim, keep)


def _place(found: Tensor, dim: int, keep: bool) -> Tensor:
    """The first place along `dim` where `found` holds, or the last place of all."""
    if not found.ndim:
        return torch.zeros((), dtype=torch.int64)
    last = found.shape[dim] - 1
    shape = [-1 if it == dim % found.ndim else 1 for it in range(found.ndim)]
    places = torch.arange(last + 1, dtype=torch.float64).reshape(shape)  # of integers the library's minimum is slow
    return _chosen(found, places, places.select(dim, last).unsqueeze(dim)).amin(dim, keepdim=keep).to(torch.int64)


def _scatter_add(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Into a few places by products with zeros and ones; into more as the library does it."""
    around = [it for it in range(x.ndim) if it != dim % max(1, x.ndim)]
    alike = source.shape == index.shape and all(index.shape[it] == x.shape[it] for it in around)
    if not (x.ndim and alike and x.shape[dim] <= _FEW_PLACES):
        found: Tensor = _ATEN.scatter_add.default(x, dim, index, source)
        return found
    hits = index.movedim(dim, -1).unsqueeze(-1) == torch.arange(x.shape[dim])
    sums = source.movedim(dim, -1).unsqueeze(-2) @ hits.to(source.dtype)
    return x + sums.squeeze(-2).movedim(-1, dim)


_CHOICES: Mapping[Any, Callable[..., Any]] = {
    _ATEN.where.self: _chosen,
    _ATEN.masked_fill.Scalar: _filled,
    _ATEN.masked_fill_.Scalar: _in_place(_filled),
    _ATEN.argmax.default: _argmax,
    _ATEN.argmin.default: _argmin,
}
_STEADY: Mapping[Any, Callable[..., Any]] = {
    **_CHOICES,
    _ATEN._prelu_kernel.default: _prelu,
    _ATEN._prelu_kernel_backward.default: _prelu_backward,
    _ATEN.celu.default: _celu,
    _ATEN.elu.default: _elu,
    _ATEN.exp.default: _exp,
    _ATEN.exp_.default: _in_place(_exp),
    _ATEN.log.default: _log,
    _ATEN.log_.default: _in_place(_log),
    _ATEN.log1p.default: _log1p,
    _ATEN.log1p_.default: _in_place(_log1p),
    _ATEN.log_sigmoid_backward.default: _log_sigmoid_backward,
    _ATEN.log_sigmoid_forward.default: _log_sigmoid_forward,
    _ATEN.logsumexp.default: _logsumexp,
    _ATEN.mish.default: _mish,
    _ATEN.pow.Tensor_Scalar: _pow,
    _ATEN.scatter_add.default: _scatter_add,
    _ATEN.sigmoid.default: _sigmoid,
    _ATEN.softplus.default: _softplus,
    _ATEN.softplus_backward.default: _softplus_backward,
    _ATEN.sqrt.default: _sqrt,
    _ATEN.tanh.default: _tanh,
    _ATEN.xlogy.Tensor: _xlogy,
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
