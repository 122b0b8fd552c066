"""What stands in for calls of the library whose time follows values; `datasites.training.steady` says for which."""

import math

import torch
from torch import Tensor

_SMALLEST, _LARGEST = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max
_LARGE = 1e38
_MOST_EXPONENT = 87.0
_LOG2_E = math.log2(math.e)
_LN_2_HIGH = 0.693359375  # nine bits: times a whole number below 2¹⁵ it is exact (Cody & Waite 1980)
_LN_2_LOW = math.log(2) - _LN_2_HIGH
_FEW_PLACES = 64
_SATURATED = 10.0  # the hyperbolic tangent is 1 in float32 from 9.1 on
_BITS = {1: torch.uint8, 4: torch.int32, 8: torch.int64}


def in_a_row(x: Tensor) -> Tensor:
    """The same numbers, contiguous."""
    return x if x.is_contiguous() else x.contiguous()


def _mended(x: Tensor, instead: float, least: float, most: float) -> Tensor:
    """`x` between two numbers, and another one `instead` of what is no number."""
    return torch.nan_to_num(in_a_row(x), nan=instead).clamp(least, most)


def _mask(condition: Tensor, kind: torch.dtype) -> Tensor:
    return condition.to(kind).neg()


def chosen(condition: Tensor, x: Tensor, other: Tensor) -> Tensor:
    """`x` where the condition holds, else `other`: by bits."""
    kind = torch.result_type(x, other)
    x, other, bits = x.to(kind), other.to(kind), _BITS[kind.itemsize]
    mask = _mask(condition, bits)
    found = (x.view(bits) & mask) | (other.view(bits) & ~mask)
    return found.view(kind)


def filled(x: Tensor, mask: Tensor, value: float) -> Tensor:
    return chosen(mask, torch.full((), value, dtype=x.dtype), x)


def exp(x: Tensor) -> Tensor:
    """e^x = 2^n · 2^((x − n · ln 2) / ln 2), with n the whole number next to x / ln 2."""
    x = _mended(x, -_MOST_EXPONENT, -_MOST_EXPONENT, _MOST_EXPONENT)
    whole = (x * _LOG2_E).round()
    rest = x.add(whole, alpha=-_LN_2_HIGH).add(whole, alpha=-_LN_2_LOW)
    return torch.exp2(whole) * torch.exp2(rest * _LOG2_E)


def log(x: Tensor) -> Tensor:
    none = _mask(x <= 0, torch.int32) & torch.full((), -torch.inf).view(torch.int32)
    return torch.log(_mended(x, _LARGEST, _SMALLEST, _LARGEST)) + none.view(torch.float32)


def log1p(x: Tensor) -> Tensor:
    return torch.log1p(_mended(x, 0.0, -1.0, _LARGE))


def sqrt(x: Tensor) -> Tensor:
    return in_a_row(x).rsqrt().reciprocal()


def pow(x: Tensor, exponent: float) -> Tensor:
    return sqrt(x) if exponent == 0.5 else torch.pow(in_a_row(x), exponent)


def tanh(x: Tensor) -> Tensor:
    return torch.tanh(_mended(x, 0.0, -_SATURATED, _SATURATED))


def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(_mended(x, 0.0, -_MOST_EXPONENT, _MOST_EXPONENT))


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    low = torch.expm1((in_a_row(x) * input_scale).clamp(max=0.0))
    return x.clamp(min=0.0) * scale + low * (alpha * scale)


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return elu(x, alpha, 1.0, 1.0 / alpha)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    return chosen(x > 0, x, slope * x)


def prelu_backward(gradient: Tensor, x: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    above = x > 0
    return chosen(above, gradient, slope * gradient), chosen(above, torch.zeros(()), x * gradient)


def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """(x)₊ + ln(1 + e^−|βx|) / β, and x itself beyond the threshold."""
    soft = x.clamp(min=0.0) + log1p(exp((x * beta).abs().neg())) / beta
    return chosen(x * beta > threshold, x, soft)


def softplus_backward(gradient: Tensor, x: Tensor, beta: float, threshold: float) -> Tensor:
    return chosen(x * beta > threshold, gradient, gradient * sigmoid(x * beta))


def log_sigmoid_forward(x: Tensor) -> tuple[Tensor, Tensor]:
    kept = exp(x.abs().neg())
    return x.clamp(max=0.0) - log1p(kept), kept


def log_sigmoid_backward(gradient: Tensor, x: Tensor, kept: Tensor) -> Tensor:
    return gradient * sigmoid(x.neg())


def mish(x: Tensor) -> Tensor:
    return x * tanh(softplus(x))


def xlogy(x: Tensor, y: Tensor) -> Tensor:
    return chosen(x == 0, torch.zeros(()), x * log(y))


def logsumexp(x: Tensor, dims: list[int], keep: bool = False) -> Tensor:
    if not x.numel():
        return x.sum(dims, keepdim=keep) - torch.inf
    largest = x.amax(dims, keepdim=True)
    result = log(exp(x - largest).sum(dims, keepdim=True)) + largest
    return result if keep else result.amax(dims)


def argmax(x: Tensor, dim: int, keep: bool = False) -> Tensor:
    return _place(x == x.amax(dim, keepdim=True), dim, keep)


def argmin(x: Tensor, dim: int, keep: bool = False) -> Tensor:
    return _place(x == x.amin(dim, keepdim=True), dim, keep)


def _place(found: Tensor, dim: int, keep: bool) -> Tensor:
    """The first place along `dim` where `found` holds, or the last place of all."""
    if not found.ndim:
        return torch.zeros((), dtype=torch.int64)
    last = found.shape[dim] - 1
    shape = [-1 if it == dim % found.ndim else 1 for it in range(found.ndim)]
    places = torch.arange(last + 1, dtype=torch.float64).reshape(shape)  # of integers the library's minimum is slow
    return chosen(found, places, places.select(dim, last).unsqueeze(dim)).amin(dim, keepdim=keep).to(torch.int64)


def scatter_add(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Into a few places by products with zeros and ones; into more as the library does it."""
    around = [it for it in range(x.ndim) if it != dim % max(1, x.ndim)]
    alike = source.shape == index.shape and all(index.shape[it] == x.shape[it] for it in around)
    if not (x.ndim and alike and x.shape[dim] <= _FEW_PLACES):
        found: Tensor = torch.ops.aten.scatter_add.default(x, dim, index, source)
        return found
    hits = index.movedim(dim, -1).unsqueeze(-1) == torch.arange(x.shape[dim])
    sums = source.movedim(dim, -1).unsqueeze(-2) @ hits.to(source.dtype)
    return x + sums.squeeze(-2).movedim(-1, dim)
