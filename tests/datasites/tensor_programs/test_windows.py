"""Windows: torch's own convolution and pooling, but every record's on its own, in a time that values do not show."""

import math
import time
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.windows import avg_pool2d, conv2d, max_pool2d

ONE = (1, 1)
sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))
few = st.tuples(st.integers(1, 3), st.integers(1, 3))


def same(ours: Callable[[Tensor], Tensor], torchs: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Values and gradients agree, or both refuse."""
    try:
        expected = torchs(x)
    except RuntimeError:
        expected = None
    if expected is None or 0 in expected.shape:
        with pytest.raises(ValueError, match=r"fit|half|divide"):
            ours(x)
        return
    weight = torch.linspace(-1, 2, expected.numel()).reshape(expected.shape)
    torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)
    got = grad(lambda x: (ours(x) * weight).sum())(x)
    torch.testing.assert_close(got, grad(lambda x: (torchs(x) * weight).sum())(x), rtol=1e-4, atol=1e-4)


@settings(max_examples=150, deadline=None)
@given(sizes, few, few, few, few, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_convolution_is_torchs_or_both_refuse(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], depth: int, groups: int, images: int, filters: int,
) -> None:  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    padding = (padding[0] - 1, padding[1] - 1)
    x = torch.randn(images, depth * groups, *size, generator=generator)
    weight, bias = torch.randn(filters, depth, *kernel, generator=generator), torch.randn(filters, generator=generator)
    same(
        lambda x: conv2d(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups),
        lambda x: F.conv2d(x, weight, bias, stride, padding, dilation, groups),
        x,
    )
    if filters % groups == 0:
        same(
            lambda w: conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups),
            lambda w: F.conv2d(x, w, None, stride, padding, dilation, groups),
            weight,
        )


@settings(max_examples=150, deadline=None)
@given(sizes, few, few, few, few, st.booleans())
def test_pooling_is_torchs_or_both_refuse(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], counted: bool,
) -> None:  # fmt: skip
    padding = (padding[0] - 1, padding[1] - 1)
    x = torch.randint(-2, 3, (2, 3, *size), generator=torch.Generator().manual_seed(2)).float()  # many are equal
    # Where a window lies in padding alone, the gradient of torch's own maximum writes beyond its memory (2.13).
    assume(all(reached(*each) for each in zip(size, kernel, stride, padding, dilation, strict=True)))
    same(
        lambda x: max_pool2d(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation),
        lambda x: F.max_pool2d(x, kernel, stride, padding, dilation),
        x,
    )
    same(
        lambda x: avg_pool2d(x, kernel=kernel, stride=stride, padding=padding, count_padding=counted),
        lambda x: F.avg_pool2d(x, kernel, stride, padding, count_include_pad=counted),
        x,
    )


def reached(size: int, kernel: int, stride: int, padding: int, dilation: int) -> bool:
    """Whether every window that fits holds something of the image."""
    places = range(0, size + 2 * padding - dilation * (kernel - 1), stride)
    return all(any(0 <= place - padding + dilation * k < size for k in range(kernel)) for place in places)


def test_a_window_in_padding_alone_is_harmless() -> None:
    x = torch.ones(1, 1, 1, 1)

    def largest(x: Tensor) -> Tensor:
        return max_pool2d(x, kernel=(2, 2), stride=ONE, padding=ONE, dilation=(2, 2)).sum()

    assert largest(x) == -math.inf
    assert grad(largest)(x).item() == 0


def network(weight: Tensor, x: Tensor) -> Tensor:
    x = conv2d(x[None], weight, stride=ONE, padding=ONE, dilation=ONE, groups=1)
    x = max_pool2d(x, kernel=(3, 3), stride=(2, 2), padding=ONE, dilation=ONE)
    x = avg_pool2d(x, kernel=(2, 2), stride=ONE, padding=ONE, count_padding=False)
    return x.square().sum()


@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf, 3e38])
@pytest.mark.parametrize(("channels", "filters"), [(1, 1), (1, 16), (3, 5), (16, 8), (17, 33)])
def test_what_is_not_finite_in_one_record_reaches_no_other(rubbish: float, channels: int, filters: int) -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(filters, channels, 3, 3, generator=generator)
    records = torch.randn(17, channels, 6, 6, generator=generator)
    gradients = vmap(grad(network), in_dims=(None, 0))
    before = gradients(weight, records)
    records[8] = rubbish
    after = gradients(weight, records)
    others = [*range(8), *range(9, 17)]
    assert torch.equal(before[others], after[others])
    assert not torch.isfinite(after[8]).all()


def test_a_maximum_over_what_is_not_a_number_is_not_a_number() -> None:
    x = torch.tensor([1.0, math.nan, 5.0, math.inf, -math.inf, 2.0, -math.inf, -math.inf]).reshape(1, 1, 1, 8)
    options = {"stride": (1, 2), "padding": (0, 0), "dilation": ONE}
    assert max_pool2d(x, kernel=(1, 2), **options).flatten().tolist()[1:] == [math.inf, 2.0, -math.inf]
    assert max_pool2d(x, kernel=(1, 2), **options)[0, 0, 0, 0].isnan()


def test_the_time_of_pooling_does_not_tell_noise_from_padding() -> None:
    """The library's takes three times as long on noise: its branches cannot be predicted."""

    def pooled(x: Tensor) -> Tensor:
        return max_pool2d(x, kernel=(2, 2), stride=(2, 2), padding=(0, 0), dilation=ONE).sum()

    run, noise = vmap(grad(pooled)), torch.randn(64, 1, 16, 28, 28)
    best = [math.inf, math.inf]
    for _ in range(40):
        for place, x in enumerate((noise, torch.zeros_like(noise))):
            start = time.perf_counter()
            run(x)
            best[place] = min(best[place], time.perf_counter() - start)
    assert 0.6 < best[0] / best[1] < 1.7
