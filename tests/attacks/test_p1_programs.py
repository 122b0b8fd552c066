"""Attacks on P1: a malicious researcher crafts tensor programs, names, files and sources to run or leak at a site."""

import ast
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.bounds import check_bounds
from datasites.tensor_programs.interpret import interpret
from policies.errors import InvalidInputError
from policies.programs.check import check_pair, check_program
from policies.programs.format import Input, Node, Output, Program, parse_program
from policies.statements.canonical import canonical_bytes

ROOT = Path(__file__).parents[2]
RUNS_JOBS = ROOT / "datasites" / "sandbox" / "script.py"
"""The one place that runs a job's script: inside the sandbox, behind all its walls."""
INPUTS = (
    Input(name="weight", kind="parameter", shape=(4,), dtype="float32"),
    Input(name="feature", kind="feature", shape=(4,), dtype="float32"),
    Input(name="target", kind="target", shape=(), dtype="int64"),
)
MUL = Node(op="mul", args=(0, 1), kwargs={})
SUM = Node(op="sum", args=(3,), kwargs={"dims": (), "keep": False})


def program(*nodes: Node, ref: int | None = None) -> Program:
    outputs = (Output(name="loss", ref=len(INPUTS) + len(nodes) - 1 if ref is None else ref),)
    return Program(version="cloister-program/1", inputs=INPUTS, nodes=nodes, outputs=outputs)


def as_json(candidate: Program) -> Any:
    return candidate.model_dump(mode="json")


DANGEROUS = (
    "as_strided", "_assert_async", "batch_norm", "bernoulli", "copy_", "data_ptr", "dropout", "empty", "empty_like",
    "eval", "exec", "from_file", "getattr", "index_put_", "load", "masked_select", "native_batch_norm", "new_empty",
    "nonzero", "printf", "py_call", "rand", "randn_like", "resize_", "save", "set_", "sort", "sparse_mask", "system",
)  # fmt: skip


@pytest.mark.parametrize("name", DANGEROUS)
def test_an_operation_off_the_list_runs_nowhere_even_if_a_caller_forgets_to_check(name: str) -> None:
    try:
        candidate = program(Node(op=name, args=(1,), kwargs={}))
    except ValueError:
        return  # not even a name of the format
    for entrance in (lambda: check_program(candidate, kind="loss"), lambda: interpret(candidate)):
        with pytest.raises(InvalidInputError, match="not an allowed operation"):
            entrance()


@pytest.mark.parametrize("reference", [3, 4, 5, 20_000])
def test_a_node_cannot_read_itself_or_what_comes_later(reference: int) -> None:
    candidate = program(Node(op="mul", args=(1, reference), kwargs={}), SUM)
    with pytest.raises(InvalidInputError, match="backwards"):
        interpret(candidate)


@pytest.mark.parametrize("reference", [-1, -4, "0", None, 1.5, {"ref": 0}])
def test_references_from_the_end_or_of_other_types_do_not_parse(reference: Any) -> None:
    candidate = as_json(program(MUL, SUM))
    candidate["nodes"][0]["args"][0] = reference
    with pytest.raises(InvalidInputError):
        parse_program(canonical_bytes(candidate))


@pytest.mark.parametrize(
    "name",
    [
        "x): import os; os.system('touch /tmp/owned') #",
        "__class__.__init__",
        "a\nb",
        "../../etc/passwd",
        "",
        "a" * 201,
        "ａ",
    ],
)
def test_forged_names_are_only_ever_names(name: str) -> None:
    candidate = as_json(program(MUL, SUM))
    candidate["inputs"][0]["name"] = name
    try:
        parsed = parse_program(canonical_bytes(candidate))
    except InvalidInputError:
        return
    value = interpret(parsed)({name: torch.ones(4)}, torch.ones(4), torch.tensor(0))
    assert value[0] == 4


def test_running_a_program_executes_opens_and_connects_nothing() -> None:
    code = """
        import sys, torch
        from torch.func import grad, vmap
        from datasites.tensor_programs.interpret import interpret
        from policies.programs.check import check_program
        from policies.programs.format import parse_program

        def whole(data):
            program = parse_program(data)
            check_program(program, kind="loss")
            run = interpret(program)
            one = grad(lambda w, x, y: run({"weight": w}, x, y)[0])
            return vmap(one, in_dims=(None, 0, 0))(torch.ones(4), torch.ones(2, 4), torch.zeros(2, dtype=torch.int64))

        data = sys.stdin.buffer.read()
        whole(data)
        seen = []
        sys.addaudithook(lambda event, args: seen.append(event))
        whole(data)
        forbidden = ("exec", "compile", "open", "os.", "subprocess.", "socket.", "ctypes.", "pickle.", "marshal.")
        print([event for event in seen if event.startswith((*forbidden, "import"))])
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        input=program(MUL, SUM).canonical(), capture_output=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.decode().strip() == "[]"


def test_no_package_of_a_site_can_turn_a_researchers_text_into_code() -> None:
    found = []
    for package in ("policies", "datasites"):
        for path in set((ROOT / package).rglob("*.py")) - {RUNS_JOBS}:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [ast.unparse(node.func)] if isinstance(node, ast.Call) else []
                bad = {"exec", "eval", "compile", "__import__", "torch.load", "torch.jit.load", "torch.export.load"}
                modules = {"pickle", "cloudpickle", "dill", "marshal", "runpy", "shelve", "joblib"}
                found += [f"{path}: {name}" for name in names if name in bad or name.split(".")[0] in modules]
    assert found == []


def test_a_memory_bomb_of_a_hundred_bytes_costs_nothing() -> None:
    bomb = [Node(op="full", args=(), kwargs={"shape": (50_000_000,), "value": 1, "dtype": "float32"})]
    bomb += [Node(op="stack", args=(3 + number,) * 64, kwargs={"dim": 0}) for number in range(4)]
    started = time.monotonic()
    with pytest.raises(InvalidInputError, match="smaller model"):
        check_bounds(program(*bomb, Node(op="sum", args=(7,), kwargs={"dims": (), "keep": False})), kind="loss")
    assert time.monotonic() - started < 5


def test_a_chain_of_products_that_would_run_for_days_is_refused_at_once() -> None:
    square = Node(op="full", args=(), kwargs={"shape": (2_000, 2_000), "value": 1, "dtype": "float32"})
    chain = [Node(op="matmul", args=(3 + number, 3), kwargs={}) for number in range(1_000)]
    started = time.monotonic()
    with pytest.raises(InvalidInputError, match="operations"):
        check_bounds(
            program(square, *chain, Node(op="sum", args=(1_003,), kwargs={"dims": (), "keep": False})), kind="loss"
        )
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("shape", [[10**12], [2**31, 2**31], [-1], [0], [2**53 - 1] * 8])
def test_constants_of_absurd_shape_are_refused(shape: list[int]) -> None:
    candidate = as_json(program(Node(op="full", args=(), kwargs={"shape": (1,), "value": 1, "dtype": "float32"}), SUM))
    candidate["nodes"][0]["kwargs"]["shape"] = shape
    with pytest.raises(InvalidInputError):
        check_program(parse_program(canonical_bytes(candidate)), kind="loss")


def test_a_second_output_cannot_ride_along_with_the_loss() -> None:
    candidate = program(MUL, SUM).model_copy(
        update={"outputs": (Output(name="loss", ref=4), Output(name="feature", ref=1))}
    )
    with pytest.raises(InvalidInputError, match="exactly one"):
        check_program(candidate, kind="loss")


def test_a_record_itself_cannot_be_a_metric() -> None:
    inputs = INPUTS
    candidate = Program(
        version="cloister-program/1", inputs=inputs, nodes=(MUL,), outputs=(Output(name="features", ref=1),)
    )
    check_program(candidate, kind="metrics")
    with pytest.raises(InvalidInputError, match="one float32 number a record"):
        check_bounds(candidate, kind="metrics")


def test_two_inputs_of_one_name_or_inputs_beyond_the_record_are_refused() -> None:
    for extra in (
        {"name": "weight", "kind": "constant", "shape": [4], "dtype": "float32"},
        {"name": "unit", "kind": "feature", "shape": [1], "dtype": "float32"},
        {"name": "others", "kind": "batch", "shape": [4], "dtype": "float32"},
        {"name": "label", "kind": "target", "shape": [], "dtype": "int64"},
    ):
        candidate = as_json(program(MUL, SUM))
        candidate["inputs"].insert(1, extra)
        with pytest.raises(InvalidInputError):
            parse_program(canonical_bytes(candidate))


def test_loss_and_metrics_cannot_disagree_about_the_model() -> None:
    loss = program(MUL, SUM)
    metrics = loss.model_copy(update={"outputs": (Output(name="accuracy", ref=4),)})
    wider = (INPUTS[0].model_copy(update={"shape": (5,)}), *INPUTS[1:])
    with pytest.raises(InvalidInputError, match="different inputs"):
        check_pair(loss, metrics.model_copy(update={"inputs": wider}))


def hostile_gradients(candidate: Program, features: Tensor, targets: Tensor) -> Tensor:
    check_bounds(candidate, kind="loss")
    run = interpret(candidate)
    one = grad(lambda weight, x, y: run({"weight": weight}, x, y)[0])
    return vmap(one, in_dims=(None, 0, 0))(torch.ones(4), features, targets)


def test_one_records_values_cannot_raise_and_so_signal() -> None:
    index = Node(op="reshape", args=(2,), kwargs={"shape": (1,)})
    row = Node(op="reshape", args=(0,), kwargs={"shape": (1, 4)})
    entropy = Node(op="cross_entropy", args=(4, 3), kwargs={"reduction": "mean", "label_smoothing": 0})
    targets = torch.tensor([0, -1, 4, 2**62, -(2**63)])
    got = hostile_gradients(program(index, row, entropy), torch.randn(5, 4), targets)
    assert torch.isfinite(got).all()
    assert torch.equal(got[1], got[0])  # below the range is the first class, above it the last
    assert torch.equal(got[2], got[3])


def test_one_records_nan_reaches_no_other_record() -> None:
    divided = Node(op="div", args=(0, 1), kwargs={})
    features = torch.randn(6, 4)
    targets = torch.zeros(6, dtype=torch.int64)
    before = hostile_gradients(program(divided, SUM), features, targets)
    features[3] = torch.tensor([0.0, float("nan"), float("inf"), 1e-45])
    after = hostile_gradients(program(divided, SUM), features, targets)
    others = [0, 1, 2, 4, 5]
    assert torch.equal(before[others], after[others])
    assert not torch.isfinite(after[3]).all()


def test_nothing_is_remembered_from_one_record_to_the_next() -> None:
    run = interpret(program(MUL, SUM))
    weight = {"weight": torch.ones(4)}
    first = run(weight, torch.ones(4), torch.tensor(0))
    run(weight, torch.full((4,), 1e30), torch.tensor(7))
    assert torch.equal(run(weight, torch.ones(4), torch.tensor(0))[0], first[0])
    assert torch.equal(weight["weight"], torch.ones(4))
