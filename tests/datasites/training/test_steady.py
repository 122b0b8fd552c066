"""What is recorded in place of calls whose time follows values: the same results, and none of those is on a tape."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.operations import OPERATIONS
from datasites.training.recording import record
from datasites.training.steady import steady
from datasites.training.tape import Form
from tests.operation_examples import result

ATEN = torch.ops.aten
USUAL = torch.cat([torch.linspace(-12, 12, 997), torch.linspace(-80, 80, 99), torch.tensor([0.0, -0.0, 1e-30, 50.0])])
OTHER, GRADIENT = USUAL.roll(123).clone(), USUAL.roll(451) / 7
MATRIX = OTHER.reshape(44, 25)
CALLS: Sequence[tuple[Any, Sequence[Any]]] = (
    (ATEN._prelu_kernel.default, (USUAL, OTHER)),
    (ATEN._prelu_kernel_backward.default, (GRADIENT, USUAL, OTHER)),
    (ATEN.argmax.default, (MATRIX, 1)),
    (ATEN.argmax.default, (MATRIX.round().to(torch.int64), -1, True)),
    (ATEN.argmin.default, (MATRIX, 0)),
    (ATEN.argmin.default, (USUAL[3], 0)),
    (ATEN.celu.default, (USUAL, 0.7)),
    (ATEN.elu.default, (USUAL, 0.7, 1.1, 0.9)),
    (ATEN.elu_backward.default, (GRADIENT, 0.7, 1.1, 0.9, False, USUAL)),
    (ATEN.exp.default, (USUAL,)),
    (ATEN.exp_.default, (USUAL,)),
    (ATEN.expm1.default, (USUAL,)),
    (ATEN.gelu.default, (USUAL,)),
    (ATEN.gelu_backward.default, (GRADIENT, USUAL)),
    (ATEN.hardtanh_backward.default, (GRADIENT, USUAL, -1, 1)),
    (ATEN.huber_loss.default, (USUAL, OTHER, 0, 0.5)),
    (ATEN.leaky_relu_backward.default, (GRADIENT, USUAL, 0.1, False)),
    (ATEN.log.default, (USUAL.abs(),)),
    (ATEN.log_.default, (USUAL.abs(),)),
    (ATEN.log1p.default, (USUAL.abs(),)),
    (ATEN.log1p_.default, (USUAL.abs(),)),
    (ATEN.log_sigmoid_forward.default, (USUAL,)),
    (ATEN.log_sigmoid_backward.default, (GRADIENT, USUAL, USUAL.abs().neg().exp())),
    (ATEN.logsumexp.default, (MATRIX, [1])),
    (ATEN.logsumexp.default, (MATRIX, [0, 1], True)),
    (ATEN.logsumexp.default, (MATRIX[:0], [0])),
    (ATEN.masked_fill.Scalar, (MATRIX[:0], MATRIX[:0] > 1, 3.5)),
    (ATEN.masked_fill.Scalar, (USUAL, USUAL > 1, 3.5)),
    (ATEN.masked_fill_.Scalar, (USUAL, USUAL > 1, -math.inf)),
    (ATEN.maximum.default, (USUAL, OTHER)),
    (ATEN.mish.default, (USUAL,)),
    (ATEN.pow.Tensor_Scalar, (USUAL.abs(), 0.5)),
    (ATEN.pow.Tensor_Scalar, (USUAL, 3)),
    (ATEN.scatter_add.default, (MATRIX, 1, MATRIX.long() % 25, MATRIX)),
    (ATEN.scatter_add.default, (MATRIX, 0, MATRIX.long() % 44, MATRIX)),
    (ATEN.scatter_add.default, (MATRIX, -1, MATRIX[:3].long() % 25, MATRIX)),
    (ATEN.scatter_add.default, (USUAL, 0, USUAL.long().abs(), USUAL)),
    (ATEN.sigmoid.default, (USUAL,)),
    (ATEN.smooth_l1_loss.default, (USUAL, OTHER, 0, 0.5)),
    (ATEN.softplus.default, (USUAL, 0.5, 20.0)),
    (ATEN.softplus.default, (USUAL, 1.0, -5.0)),
    (ATEN.softplus_backward.default, (GRADIENT, USUAL, 0.5, 20.0)),
    (ATEN.softplus_backward.default, (GRADIENT, USUAL, 1.0, -5.0)),
    (ATEN.sqrt.default, (USUAL.abs(),)),
    (ATEN.tanh.default, (USUAL,)),
    (ATEN.threshold_backward.default, (GRADIENT, USUAL, 0)),
    (ATEN.where.self, (USUAL > 0, USUAL, OTHER)),
    (ATEN.where.self, (MATRIX > 0, MATRIX.to(torch.int64), torch.tensor(3))),
    (ATEN.where.self, (MATRIX > 0, MATRIX < 5, MATRIX < -5)),
    (ATEN.where.self, (MATRIX[:1] > 0, MATRIX.double(), torch.tensor(-0.0))),
    (ATEN.xlogy.Tensor, (OTHER.round(), USUAL.abs() + 0.1)),
)


@pytest.fixture(autouse=True)
def _as_in_the_trainer() -> Any:
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


def _apart(x: Tensor) -> Tensor:
    """The same numbers, no two of which lie side by side."""
    return torch.stack([x, x], x.ndim).select(x.ndim, 0)


@pytest.mark.parametrize(("operation", "operands"), CALLS, ids=lambda it: str(it) if callable(it) else "")
@pytest.mark.parametrize("lay", [Tensor.clone, _apart])
def test_results_are_the_librarys(operation: Any, operands: Sequence[Any], lay: Callable[[Tensor], Tensor]) -> None:
    instead = steady(operation, operands)
    assert instead is not None
    got = instead(*[lay(it) if isinstance(it, Tensor) and it.ndim else it for it in operands])
    expected = operation(*[it.clone() if isinstance(it, Tensor) else it for it in operands])
    torch.testing.assert_close(
        got, expected, rtol=1e-6, atol=1e-30 if operation is not ATEN.scatter_add.default else 1e-5
    )


@pytest.mark.parametrize(
    ("operation", "given", "expected"),
    [
        (ATEN.exp.default, [math.inf, 1e30, -math.inf, math.nan], [math.exp(87)] * 2 + [math.exp(-87)] * 2),
        (ATEN.log.default, [0.0, -1.0, 1e-40], [-math.inf] * 3),
        (ATEN.sqrt.default, [0.0, math.inf], [0.0, math.inf]),
        (ATEN.argmax.default, [math.nan] * 4, 3),
        (ATEN.tanh.default, [math.inf, -1e30, math.nan], [1.0, -1.0, 0.0]),
    ],
)
def test_beyond_the_range_results_are_as_defined(operation: Any, given: list[float], expected: Any) -> None:
    operands = (torch.tensor(given), 0) if operation is ATEN.argmax.default else (torch.tensor(given),)
    instead = steady(operation, operands)
    assert instead is not None
    torch.testing.assert_close(instead(*operands), torch.tensor(expected), rtol=1e-5, atol=0)


def test_a_choice_keeps_every_bit_of_what_it_chooses() -> None:
    strange = torch.tensor([math.nan, -math.nan, math.inf, -0.0, 1e-40, 3.0])
    chosen = steady(ATEN.where.self, ())
    assert chosen is not None
    found = chosen(torch.tensor([True, False] * 3), strange, -strange)
    assert torch.equal(
        found.view(torch.int32), torch.where(torch.tensor([True, False] * 3), strange, -strange).view(torch.int32)
    )


# Timed on values of all kinds (`tests.benchmarks.bench_steadiness`); look-ups by index may find memory at hand or not.
TIMED = """
__and__ __or__ _log_softmax _log_softmax_backward_data _softmax
_softmax_backward_data _to_copy _unsafe_view abs add alias amax amin arange bitwise_not bmm cat ceil clamp clamp_max
clamp_min clone col2im constant_pad_nd contiguous copy_ detach div elu_backward embedding embedding_dense_backward
empty_like eq erf exp2 expand expm1 fill_ floor full full_like gather ge gelu gelu_backward gt hardsigmoid
hardsigmoid_backward hardswish hardswish_backward hardtanh hardtanh_backward huber_loss im2col le leaky_relu
leaky_relu_backward lift_fresh log log1p logical_and logical_and_ logical_not logical_or logical_xor lt matmul
maximum mean
minimum mm mul nan_to_num native_group_norm native_layer_norm native_layer_norm_backward ne neg new_zeros ones
ones_like permute pow reciprocal relu round rsqrt rsub scalar_tensor scatter scatter_add select select_backward sgn
sigmoid sigmoid_backward sign silu silu_backward slice slice_backward smooth_l1_loss split squeeze stack sub sub_ sum t
tanh tanh_backward threshold_backward to transpose unbind unsqueeze unsqueeze_ var view zeros zeros_like
"""


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_only_calls_that_were_timed_are_on_a_tape(name: str) -> None:
    def gradients(x: Tensor) -> list[Tensor]:
        return [vmap(grad(lambda x: result(name, x)))(x)]

    tape = record(gradients, Form((3, 4), torch.float32))
    assert {str(call.operation).split(".")[1] for call in tape.calls} <= set(TIMED.split())
