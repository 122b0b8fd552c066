"""Convolution and pooling over windows of an image, made of copies, products and element-wise choices alone.

Windows are cut out as columns, so a record's products are its own: the library's convolutions compute the gradients of
many records as groups of one call, where a vector register could carry one record's NaN into its neighbour's lanes.
And what they allocate is seen by the meter of `datasites.tensor_programs.bounds`. The library's maximum over windows
takes three times as long on noise as on zeros, which would tell how many records a padded batch holds, and its gradient
writes beyond its memory where a dilated window lies in padding alone (torch 2.13); here it has no branches or indices.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Cross-correlate x [n, c, h, w] with weight [o, c / groups, kh, kw] and add bias [o]: [n, o, h', w'].

    Raises:
        ValueError: shapes and options do not fit together; it does not depend on values.
    """
    if x.ndim != 4 or weight.ndim != 4 or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError("conv2d takes images [n, c, h, w], a weight [o, c, kh, kw] and a bias [o]")
    count, channels = x.shape[:2]
    filters, depth, *kernel = weight.shape
    if channels != depth * groups or filters % groups:
        raise ValueError(f"{groups} groups of depth {depth} and {filters} filters do not divide {channels} channels")
    pieces = columns(x, groups, kernel, stride, padding, dilation)
    # Without the dimension of one image there is nothing to broadcast, so no copies of the weight's gradient.
    products = torch.matmul(weight.reshape(groups, filters // groups, -1), pieces.squeeze(0))
    result = products.reshape(count, filters, *_places(x, kernel, stride, padding, dilation))
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def max_pool2d(
    x: Tensor, *, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """The largest number of each window of x [n, c, h, w], the first of several, NaN before all: [n, c, h', w'].

    Raises:
        ValueError: x is no image, or windows do not fit into it; it does not depend on values.
    """
    _check_pool(x, kernel, padding)
    vertical, horizontal = padding
    padded = functional.pad(x, (horizontal, horizontal, vertical, vertical), value=-torch.inf)
    found = columns(padded, x.shape[1], kernel, stride, (0, 0), dilation)
    while found.shape[2] > 1:  # neighbours are compared, so that of equal numbers the first one wins
        pairs = found.shape[2] // 2
        couples = found[:, :, : 2 * pairs].reshape(*found.shape[:2], pairs, 2, -1)
        larger = _larger(couples)
        found = torch.cat([larger, found[:, :, 2 * pairs :]], 2) if found.shape[2] % 2 else larger
    return found.reshape(*x.shape[:2], *_places(x, kernel, stride, padding, dilation))


def avg_pool2d(
    x: Tensor, *, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], count_padding: bool
) -> Tensor:
    """The mean of each window of x [n, c, h, w], over padding too if `count_padding`: [n, c, h', w'].

    Raises:
        ValueError: x is no image, or windows do not fit into it; it does not depend on values.
    """
    _check_pool(x, kernel, padding)
    one = (1, 1)
    sums = columns(x, x.shape[1], kernel, stride, padding, one).sum(2)
    counts: Tensor | int = kernel[0] * kernel[1]
    if not count_padding:
        counts = columns(torch.ones(1, 1, *x.shape[2:]), 1, kernel, stride, padding, one).sum(2)
    return (sums / counts).reshape(*x.shape[:2], *_places(x, kernel, stride, padding, one))


class _Larger(torch.autograd.Function):
    """The larger of each couple [..., 2, places]; its gradient goes to the first of equal ones."""

    @staticmethod
    def forward(couples: Tensor) -> Tensor:
        return torch.maximum(*couples.unbind(-2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def vmap(info: Any, dims: tuple[int], couples: Tensor) -> tuple[Tensor, int]:
        return _larger(couples.movedim(dims[0], 0)), 0

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        first, second = ctx.saved_tensors[0].unbind(-2)
        to_second = (second > first).to(gradient.dtype)
        return torch.stack([gradient * (1 - to_second), gradient * to_second], -2)


def _larger(couples: Tensor) -> Tensor:
    result: Tensor = _Larger.apply(couples)  # type: ignore[no-untyped-call]
    return result


def _check_pool(x: Tensor, kernel: Sequence[int], padding: Sequence[int]) -> None:
    if x.ndim != 4:
        raise ValueError("pooling takes images [n, c, h, w]")
    if any(2 * pad > size for pad, size in zip(padding, kernel, strict=True)):
        raise ValueError(f"a padding of {_by(padding)} is more than half of the window of {_by(kernel)}")


def columns(
    x: Tensor,
    groups: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """All windows of x [n, c, h, w] as columns, channel by channel: [n, groups, c / groups × kh × kw, h' × w']."""
    down, across = _places(x, kernel, stride, padding, dilation)
    if min(down, across) < 1:
        raise ValueError(
            f"a window of {_by(kernel)} with dilation {_by(dilation)} does not fit into {_by(x.shape[2:])} with "
            f"padding {_by(padding)}"
        )
    if tuple(kernel) == tuple(stride) and not any(padding) and tuple(dilation) == (1, 1):  # side by side: no sums
        tiles = x[:, :, : down * kernel[0], : across * kernel[1]].reshape(
            *x.shape[:2], down, kernel[0], across, kernel[1]
        )
        found = tiles.permute(0, 1, 3, 5, 2, 4)
    else:
        found = functional.unfold(x, tuple(kernel), tuple(dilation), tuple(padding), tuple(stride))
    return found.reshape(x.shape[0], groups, -1, down * across)


def _places(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """How many windows there are in each direction; below 1 if not even one fits."""
    sizes = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    return [(size + 2 * pad - apart * (width - 1) - 1) // step + 1 for size, width, step, pad, apart in sizes]


def _by(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))
