"""Attacks on P1 through convolutions and pooling: absurd windows, hidden names, sizes beyond integers, endless work."""

import time
from typing import Any

import pytest
import torch
from torch.func import grad, vmap

from datasites.tensor_programs.bounds import check_bounds
from datasites.tensor_programs.interpret import interpret
from policies.errors import InvalidInputError
from policies.programs.check import check_program
from policies.programs.format import MAXIMUM_NODES, Node, Option, Program, parse_program
from policies.statements.canonical import canonical_bytes
from tests.attacks.crafted_windows import CONVOLUTION, IMAGE, INPUTS, MAXIMUM, MEAN, convolved, full, pooled, program


def refused(candidate: Program, text: str, seconds: float = 5) -> None:
    """By the whole path of an untrusted program, in one sentence, and soon."""
    start = time.monotonic()
    with pytest.raises(InvalidInputError, match=text) as caught:
        check_bounds(parse_program(candidate.canonical()), kind="loss")
    assert time.monotonic() - start < seconds
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_programs_that_the_attacks_are_made_of_are_fine() -> None:
    for good in (convolved(), pooled("max_pool2d"), pooled("avg_pool2d")):
        assert check_bounds(good, kind="loss").bytes < 100_000


NUMBERS: list[tuple[str, Any]] = [
    *[("stride", value) for value in ((0, 1), (-1, 1), (1,), (1, 1, 1), 1, (), (2**40, 1), None)],
    *[("padding", value) for value in ((10**9, 0), (-1, 0), (257, 0), (0,), "same")],
    *[("dilation", value) for value in ((10**6, 1), (0, 1), (1, -1), (1, 257))],
    *[("groups", value) for value in (0, -1, 10**9, 2**52, None, (1,), True)],
    ("kernel", (0, 1)),
    ("kernel", (257, 1)),
]


@pytest.mark.parametrize(("option", "value"), NUMBERS)
def test_absurd_numbers_are_refused_by_the_allow_list(option: str, value: Any) -> None:
    tried = 0
    for make, options in (
        (convolved, CONVOLUTION),
        (lambda **changes: pooled("max_pool2d", **changes), MAXIMUM),
        (lambda **changes: pooled("avg_pool2d", **changes), MEAN),
    ):
        if option in options:
            tried += 1
            refused(make(**{option: value}), f"wrong option '{option}'; expected is")
    assert tried


@pytest.mark.parametrize("value", [(1.5, 1), (True, True), ("1", 1), ((1, 1), 1), (2**60, 1)])
def test_pairs_of_anything_but_whole_numbers_do_not_parse(value: Any) -> None:
    document = convolved().model_dump(mode="json")
    document["nodes"][1]["kwargs"]["stride"] = value
    with pytest.raises((InvalidInputError, ValueError)):
        parse_program(canonical_bytes(document))


def test_a_kernel_larger_than_the_padded_image_is_refused() -> None:
    refused(convolved(padding=(0, 0), dilation=(4, 1)), "a window of 3 × 3 with dilation 4 × 1 does not fit into 8 × 8")
    refused(convolved(dilation=(256, 256)), "does not fit into 8 × 8 with padding 1 × 1")
    refused(pooled("max_pool2d", kernel=(9, 9)), "does not fit into 8 × 8")
    refused(pooled("avg_pool2d", kernel=(256, 1)), "does not fit into 8 × 8")
    refused(pooled("max_pool2d", padding=(2, 2)), "more than half of the window")
    refused(pooled("avg_pool2d", padding=(256, 256)), "more than half of the window")


@pytest.mark.parametrize("groups", [2, 3, 64, 65_536])
def test_groups_that_do_not_divide_are_refused(groups: int) -> None:
    refused(convolved(groups=groups), f"{groups} groups .* do not divide 1 channels")


def test_operands_of_other_dimensions_are_refused() -> None:
    weight = (INPUTS[0].model_copy(update={"shape": (2, 3, 3)}), *INPUTS[1:])
    convolution = Node(op="conv2d", args=(3, 0), kwargs=CONVOLUTION)
    refused(program(IMAGE, convolution, inputs=weight), "conv2d takes images")
    refused(program(Node(op="conv2d", args=(1, 0), kwargs=CONVOLUTION)), "conv2d takes images")
    refused(program(Node(op="conv2d", args=(2, 2, 2), kwargs=CONVOLUTION)), "conv2d takes images")
    refused(program(IMAGE, Node(op="conv2d", args=(3, 0, 0), kwargs=CONVOLUTION)), "a bias")
    refused(program(Node(op="max_pool2d", args=(1,), kwargs=MAXIMUM)), "pooling takes images")


def test_an_output_of_a_thousand_million_elements_is_refused_without_being_made() -> None:
    filters, image = full(50_000, 1, 1, 1), full(1, 1, 400, 100)
    refused(program(filters, image, Node(op="conv2d", args=(4, 3), kwargs=CONVOLUTION)), "smaller model")
    small = {**MAXIMUM, "kernel": (1, 1), "stride": (1, 1)}
    layers = [Node(op="max_pool2d", args=(4 + number,), kwargs=small) for number in range(400)]
    grown = Node(op="conv2d", args=(3, 0), kwargs={**CONVOLUTION, "padding": (256, 256)})
    refused(program(IMAGE, grown, *layers), "smaller model", seconds=30)


def test_the_columns_of_a_convolution_count_as_memory() -> None:
    """A result of one number whose window, over and over, needs gigabytes on the way."""
    image, weight = full(1, 64, 512, 512), full(1, 64, 16, 16)
    refused(program(image, weight, Node(op="conv2d", args=(3, 4), kwargs=CONVOLUTION)), "smaller model")


def test_the_work_of_a_convolution_counts_as_operations() -> None:
    wide = (INPUTS[0].model_copy(update={"shape": (4_000, 4_000, 1, 1)}), *INPUTS[1:])
    image = full(1, 4_000, 30, 30)
    options: dict[str, Option] = {**CONVOLUTION, "padding": (0, 0)}
    refused(program(image, Node(op="conv2d", args=(3, 0), kwargs=options), inputs=wide), "20000000000 operations")


@pytest.mark.parametrize(
    "shapes",
    [
        [(2**22, 1, 1), (1, 2**21, 1), (1, 1, 2**21)],  # 2⁶⁴ elements: 0 in 64 bits
        [(2**22, 1, 1), (1, 2**21, 1), (1, 1, 2**20)],  # 2⁶³: negative
        [(2**25, 1, 1), (1, 2**20, 1), (1, 1, 2**25)],
    ],
)
def test_a_product_of_sizes_cannot_wrap_round(shapes: list[tuple[int, ...]]) -> None:
    refused(program(*[full(*shape) for shape in shapes], Node(op="where", args=(3, 4, 5), kwargs={})), "loss program")
    stretched = [full(1, 2**22, 1, 1), full(1, 2**22, 1, 1)]
    refused(
        program(*stretched, Node(op="conv2d", args=(3, 4), kwargs={**CONVOLUTION, "padding": (256, 256)})), "One rec"
    )


HIDDEN = [
    "conv2d.padding", "conv2d.out", "aten.conv2d", "aten::conv2d", "torch.conv2d", "quantized.conv2d", "conv2d ",
    "Conv2d", "conv２d", "соnv2d", "conv2d\u200b", "conv2d\n", "__conv2d__", "_conv2d", "conv2d\0",
]  # fmt: skip
OTHERS = ["conv1d", "conv3d", "conv_transpose2d", "convolution", "mkldnn_convolution", "max_pool2d_with_indices",
          "max_unpool2d", "adaptive_avg_pool2d", "conv2d_out", "batch_norm", "native_batch_norm", "unfold", "im2col",
          "max_pool2d_with_indices_backward"]  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_an_operation_under_a_strange_name_does_not_even_parse(name: str) -> None:
    document = convolved().model_dump(mode="json")
    document["nodes"][1]["op"] = name
    with pytest.raises(InvalidInputError, match="not valid"):
        parse_program(canonical_bytes(document))


@pytest.mark.parametrize("name", OTHERS)
def test_relatives_of_an_allowed_operation_are_not_allowed(name: str) -> None:
    refused(program(IMAGE, Node(op=name, args=(3, 0), kwargs=CONVOLUTION)), "not an allowed operation")


def test_options_of_the_librarys_operation_cannot_be_added() -> None:
    for option, value in (("ceil_mode", True), ("out", 3), ("divisor_override", 0), ("return_indices", True)):
        refused(pooled("avg_pool2d", **{option: value}), "exactly these options")


@pytest.mark.parametrize("shape", [(10**9,), (50_000, 50_000), (2**21, 2**21, 2**22)])
def test_constants_of_a_thousand_million_elements_cannot_be_declared(shape: tuple[int, ...]) -> None:
    document = convolved().model_dump(mode="json")
    document["inputs"].insert(1, {"name": "bank", "kind": "constant", "shape": list(shape), "dtype": "float32"})
    for node in document["nodes"]:
        node["args"] = [reference + (reference > 0) for reference in node["args"]]
    document["outputs"][0]["ref"] += 1
    with pytest.raises(InvalidInputError, match=r"elements of constants|less than or equal"):
        check_program(parse_program(canonical_bytes(document)), kind="loss")


def test_a_hundred_thousand_nodes_are_not_parsed() -> None:
    document = convolved().model_dump(mode="json")
    small = {"op": "neg", "args": [3], "kwargs": {}}
    document["nodes"] = [small] * 100_000
    with pytest.raises(InvalidInputError, match="at most"):
        parse_program(canonical_bytes(document))
    document["nodes"] = [small] * (MAXIMUM_NODES + 1)
    with pytest.raises(InvalidInputError):
        parse_program(canonical_bytes(document))


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("mean", {"dims": (2, 2), "keep": False}),
        ("amax", {"dims": (-1,), "keep": False}),
        ("sum", {"dims": (2, 3, 8), "keep": False}),
        ("permute", {"dims": (0, 1, 1, 3)}),
        ("permute", {"dims": (-4, -3, -2, -1)}),
        ("softmax", {"dim": -1}),
        ("cat", {"dim": 8}),
        ("select", {"dim": 2, "index": -1}),
        ("slice", {"dim": 2, "start": 0, "end": -1, "step": 1}),
        ("slice", {"dim": 2, "start": 0, "end": 8, "step": 0}),
        ("reshape", {"shape": (1, -1)}),
    ],
)
def test_axes_and_positions_are_counted_from_the_front_and_once(op: str, options: dict[str, Option]) -> None:
    refused(program(IMAGE, Node(op=op, args=(3,), kwargs=options)), "wrong option")


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("mean", {"dims": (4,), "keep": False}),
        ("permute", {"dims": (0, 1, 2)}),
        ("log_softmax", {"dim": 5}),
        ("select", {"dim": 2, "index": 8}),
        ("stack", {"dim": 6}),
        ("group_norm", {"groups": 3, "epsilon": 1e-5}),
        ("reshape", {"shape": (1, 1, 8, 9)}),
    ],
)
def test_axes_and_positions_beyond_the_image_are_refused(op: str, options: dict[str, Option]) -> None:
    refused(program(IMAGE, Node(op=op, args=(3,), kwargs=options)), "does not fit together")


def test_a_filter_made_of_a_record_sees_that_record_alone() -> None:
    """Weights that depend on the data: each record's own, even if another's are not finite."""
    cut = Node(op="slice", args=(1,), kwargs={"dim": 0, "start": 0, "end": 18, "step": 1})
    own = Node(op="reshape", args=(4,), kwargs={"shape": (2, 1, 3, 3)})
    both = Node(op="mul", args=(5, 0), kwargs={})
    candidate = program(IMAGE, cut, own, both, Node(op="conv2d", args=(3, 6), kwargs=CONVOLUTION))
    check_bounds(candidate, kind="loss")
    run = interpret(candidate)
    one = vmap(grad(lambda weight, x: run({"weight": weight}, x, torch.tensor(0))[0]), in_dims=(None, 0))
    weight, records = torch.randn(2, 1, 3, 3), torch.randn(5, 64)
    before = one(weight, records)
    records[2] = float("nan")
    after = one(weight, records)
    assert torch.equal(before[[0, 1, 3, 4]], after[[0, 1, 3, 4]])
    assert not torch.isfinite(after[2]).any()
