"""The operations of the allow-list, each as a total function of tensors and static options.

Operands are brought to the type that the operation computes in: float32 for analysis, numbers for arithmetic, int64
and within range for indices. So neither values nor types are left for a kernel to refuse.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from datasites.tensor_programs.windows import avg_pool2d, conv2d, max_pool2d
from policies.programs.format import DType

TORCH_TYPES: Mapping[DType, torch.dtype] = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}

_LARGEST_INTEGER = 2**53
_SMALLEST_LOG = -100.0  # as in torch.nn.functional.binary_cross_entropy


def _real(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compute in float32: convert every operand."""
    return lambda *operands, **options: function(*[_float(x) for x in operands], **options)


def _numeric(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compute on numbers: booleans become 0 and 1."""
    return lambda *operands, **options: function(*[_number(x) for x in operands], **options)


def _float(x: Tensor) -> Tensor:
    return x.to(torch.float32)


def _number(x: Tensor) -> Tensor:
    return x.to(torch.int64) if x.dtype == torch.bool else x


def _clamp(x: Tensor, minimum: float | None, maximum: float | None) -> Tensor:
    return x if minimum is None and maximum is None else torch.clamp(x, min=minimum, max=maximum)


def _over(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give `reduce` the meaning "no dims: all dims" in every rank, under vmap as well."""

    def run(x: Tensor, dims: Sequence[int], keep: bool, **options: int) -> Tensor:
        if not x.ndim:
            return reduce(x.reshape(1), dim=(0,), keepdim=False, **options)
        return reduce(x, dim=tuple(dims) or tuple(range(x.ndim)), keepdim=keep, **options)

    return run


def _position(find: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, dim, keep: find(x, dim=dim, keepdim=keep)


def _along(normalise: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, dim: int) -> Tensor:
        if dim >= x.ndim:  # on fake tensors the library does not look
            raise IndexError(f"there is no dimension {dim} in {x.ndim}")
        return normalise(_float(x), dim)

    return run


def _full(shape: Sequence[int], value: float, dtype: DType) -> Tensor:
    number = value if dtype == "float32" else max(-_LARGEST_INTEGER, min(_LARGEST_INTEGER, int(value)))
    return torch.full(tuple(shape), number, dtype=TORCH_TYPES[dtype])


def _layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *, shape: Sequence[int], epsilon: float
) -> Tensor:
    return functional.layer_norm(x, tuple(shape), weight, bias, epsilon)


def _group_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *, groups: int, epsilon: float
) -> Tensor:
    return functional.group_norm(x, groups, weight, bias, epsilon)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    result = functional.linear(x, weight)
    return result if bias is None else result + bias  # the library, for many records, would also multiply it by 1


def _embedding(table: Tensor, indices: Tensor) -> Tensor:
    return functional.embedding(_within(indices, table.shape[0]), table)


def _gather(x: Tensor, index: Tensor, dim: int) -> Tensor:
    return torch.gather(x, dim, _within(index, x.shape[dim]))


def _one_hot(x: Tensor, classes: int) -> Tensor:
    return (_within(x, classes).unsqueeze(-1) == torch.arange(classes)).to(torch.int64)


def _binary_cross_entropy(x: Tensor, target: Tensor, reduction: str) -> Tensor:
    positive = target * torch.clamp(torch.log(x), min=_SMALLEST_LOG)
    negative = (1 - target) * torch.clamp(torch.log1p(-x), min=_SMALLEST_LOG)
    return _reduced(-(positive + negative), reduction)


def _binary_cross_entropy_with_logits(
    x: Tensor, target: Tensor, pos_weight: Tensor | None = None, *, reduction: str
) -> Tensor:
    if pos_weight is not None:
        return functional.binary_cross_entropy_with_logits(x, target, pos_weight=pos_weight, reduction=reduction)
    return _reduced(_LogOdds.apply(x, target), reduction)  # type: ignore[no-untyped-call]


class _LogOdds(Function):
    """Cross entropy of log odds x and a target; its gradient is one difference, not that of each step to the loss."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(x, target, reduction="none")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, target = ctx.saved_tensors
        return gradient * (torch.sigmoid(x) - target), -gradient * x


def _cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str, label_smoothing: float
) -> Tensor:
    target = target if target.is_floating_point() else _within(target, x.shape[_class_dim(x)])
    return functional.cross_entropy(_float(x), target, weight, reduction=reduction, label_smoothing=label_smoothing)


def _nll_loss(x: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str) -> Tensor:
    return functional.nll_loss(_float(x), _within(target, x.shape[_class_dim(x)]), weight, reduction=reduction)


def _class_dim(x: Tensor) -> int:
    return 0 if x.ndim == 1 else 1


def _within(index: Tensor, size: int) -> Tensor:
    return torch.clamp(index.to(torch.int64), min=0, max=size - 1)


def _reduced(x: Tensor, reduction: str) -> Tensor:
    return x.mean() if reduction == "mean" else x.sum() if reduction == "sum" else x


OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "abs": _numeric(torch.abs),
    "ceil": _numeric(torch.ceil),
    "erf": _real(torch.erf),
    "exp": _real(torch.exp),
    "expm1": _real(torch.expm1),
    "floor": _numeric(torch.floor),
    "hardsigmoid": _real(functional.hardsigmoid),
    "hardswish": _real(functional.hardswish),
    "log": _real(torch.log),
    "log1p": _real(torch.log1p),
    "log_sigmoid": _real(functional.logsigmoid),
    "logical_not": torch.logical_not,
    "mish": _real(functional.mish),
    "neg": _numeric(torch.neg),
    "reciprocal": _real(torch.reciprocal),
    "relu": _numeric(torch.relu),
    "round": _numeric(torch.round),
    "rsqrt": _real(torch.rsqrt),
    "selu": _real(functional.selu),
    "sigmoid": _real(torch.sigmoid),
    "sign": _numeric(torch.sign),
    "silu": _real(functional.silu),
    "sqrt": _real(torch.sqrt),
    "tanh": _real(torch.tanh),
    "celu": _real(lambda x, alpha: functional.celu(x, alpha)),
    "clamp": _real(_clamp),
    "elu": _real(lambda x, alpha: functional.elu(x, alpha)),
    "gelu": _real(lambda x, approximate: functional.gelu(x, approximate=approximate)),
    "hardtanh": _real(lambda x, minimum, maximum: functional.hardtanh(x, minimum, maximum)),
    "leaky_relu": _real(lambda x, slope: functional.leaky_relu(x, slope)),
    "pow": _real(lambda x, exponent: torch.pow(x, exponent)),
    "prelu": _real(functional.prelu),
    "softplus": _real(lambda x, beta, threshold: functional.softplus(x, beta, threshold)),
    "to": lambda x, dtype: x.to(TORCH_TYPES[dtype]),
    "add": torch.add,
    "div": _numeric(torch.true_divide),
    "eq": torch.eq,
    "ge": torch.ge,
    "gt": torch.gt,
    "le": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "lt": torch.lt,
    "maximum": _numeric(torch.maximum),
    "minimum": _numeric(torch.minimum),
    "mul": torch.mul,
    "ne": torch.ne,
    "sub": _numeric(torch.sub),
    "where": lambda condition, x, other: torch.where(condition.to(torch.bool), x, other),
    "amax": _over(_numeric(torch.amax)),
    "amin": _over(_numeric(torch.amin)),
    "argmax": _position(_numeric(torch.argmax)),
    "argmin": _position(_numeric(torch.argmin)),
    "log_softmax": _along(torch.log_softmax),
    "logsumexp": _over(_real(torch.logsumexp)),
    "mean": _over(_real(torch.mean)),
    "softmax": _along(torch.softmax),
    "sum": _over(torch.sum),
    "var": _over(_real(torch.var)),
    "cat": lambda *xs, dim: torch.cat(xs, dim),
    "detach": torch.Tensor.detach,
    "expand": lambda x, shape: x.expand(tuple(shape)),
    "full": _full,
    "arange": lambda count: torch.arange(count),
    "permute": lambda x, dims: x.permute(tuple(dims)),
    "reshape": lambda x, shape: x.reshape(tuple(shape)),
    "select": lambda x, dim, index: torch.select(x, dim, index),
    "slice": lambda x, dim, start, end, step: x[(slice(None),) * dim + (slice(start, end, step),)],
    "stack": lambda *xs, dim: torch.stack(xs, dim),
    "linear": _real(_linear),
    "matmul": _real(torch.matmul),
    "layer_norm": _real(_layer_norm),
    "group_norm": _real(_group_norm),
    "embedding": _embedding,
    "gather": _gather,
    "one_hot": _one_hot,
    "avg_pool2d": _real(avg_pool2d),
    "conv2d": _real(conv2d),
    "max_pool2d": _real(max_pool2d),
    "binary_cross_entropy": _real(_binary_cross_entropy),
    "binary_cross_entropy_with_logits": _real(_binary_cross_entropy_with_logits),
    "cross_entropy": _cross_entropy,
    "huber_loss": _real(functional.huber_loss),
    "kl_div": _real(functional.kl_div),
    "l1_loss": _real(functional.l1_loss),
    "mse_loss": _real(functional.mse_loss),
    "nll_loss": _nll_loss,
    "smooth_l1_loss": _real(functional.smooth_l1_loss),
}
