"""P1 through what one person contributes: many records, metrics that speak, shapes, names and files in disguise."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datasites.tensor_programs.load import load_parameters
from datasites.training.data import UnitData
from datasites.training.evaluation import local_evaluation
from datasites.training.prepared import PreparedProgram, prepare_program
from datasites.training.randomness import SecretStream
from policies.errors import InvalidInputError
from policies.programs.check import check_program
from policies.programs.format import Program, parse_program
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation, Histogram
from tests.clipped_sums import contributions, trained_loss

Nodes = list[tuple[str, list[int], dict[str, Any]]]
FEATURES = 4
FIRST: Nodes = [("select", [1], {"dim": 0, "index": 0})]
PRODUCT: Nodes = [("linear", [1, 0], {}), ("select", [3], {"dim": 0, "index": 0})]


def document(nodes: Nodes, **outputs: int) -> dict[str, Any]:
    """Values 0 weight [1, 4], 1 features [4], 2 target []; then the nodes."""
    return {
        "version": "cloister-program/1",
        "inputs": [
            {"name": "weight", "kind": "parameter", "shape": [1, FEATURES], "dtype": "float32"},
            {"name": "features", "kind": "feature", "shape": [FEATURES], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": "float32"},
        ],
        "nodes": [{"op": op, "args": args, "kwargs": kwargs} for op, args, kwargs in nodes],
        "outputs": [{"name": name, "ref": ref} for name, ref in outputs.items()],
    }


def prepared(kind: Any, nodes: Nodes, **outputs: int) -> PreparedProgram:
    program = Program.model_validate_json(canonical_bytes(document(nodes, **outputs)))
    return prepare_program(program, kind=kind, values={}, memory_bytes=2**26)


def people(units: int, records: int) -> UnitData:
    generator = torch.Generator().manual_seed(3)
    return UnitData(
        (torch.randn((units, records, FEATURES), generator=generator), torch.zeros((units, records))),
        torch.ones((units, records), dtype=torch.bool),
    )


def gradients(nodes: Nodes, data: UnitData) -> Tensor:
    program = Program.model_validate_json(canonical_bytes(document(nodes, loss=2 + len(nodes))))
    sums = trained_loss(program, {}).fitted(len(data), data, 1.0)
    return contributions(sums, {"weight": torch.ones(1, FEATURES)}, data)["weight"].flatten(1).double()


def test_a_patient_with_a_hundred_records_weighs_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounding each record, and not the person, would let a hundred visits speak a hundred times as loud."""
    lengths = gradients(PRODUCT, people(8, 100)).norm(dim=1)
    assert float(lengths.max()) <= 1.0
    assert float(lengths.min()) > 0.99  # all of them would be longer


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), 3e38])
def test_one_strange_record_silences_its_own_patient_and_moves_no_other(strange: float) -> None:
    """A loss that is NaN or endless for one visit: its patient counts as absent, the others as before."""
    square: Nodes = [*PRODUCT, ("mul", [4, 4], {})]
    honest, data = gradients(square, people(5, 3)), people(5, 3)
    data.features[2, 1] = strange
    found = gradients(square, data)
    assert found.isfinite().all()
    assert float(found[2].norm()) <= 1.0
    others = [0, 1, 3, 4]
    torch.testing.assert_close(found[others], honest[others])


@pytest.mark.parametrize("value", [1e30, -1e30, float("inf"), float("nan")])
def test_a_metrics_program_that_hands_the_features_out_moves_each_sum_by_one_person(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each feature is a «metric», blown up for the person wanted; with the noise away, the sums move by √metrics."""
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))
    names = tuple(f"feature{place}" for place in range(FEATURES))
    nodes: Nodes = [("select", [1], {"dim": 0, "index": place}) for place in range(FEATURES)]
    outputs = {name: 3 + place for place, name in enumerate(names)}
    program = prepared("metrics", nodes, **outputs)
    evaluation = Evaluation(models=(0,), metrics=names, histograms=(), noise_multiplier=1.0)
    data = people(30, 2)
    data.features[7] = value
    rest = [unit for unit in range(30) if unit != 7]
    without = UnitData((data.features[rest], data.target[rest]), data.mask[rest])
    sums = [local_evaluation(program, torch.ones(FEATURES), it, evaluation, 30) for it in (data, without)]
    assert np.isfinite(sums[0]).all()
    moved = float(np.linalg.norm(sums[0] - sums[1]))
    assert 0.5 < moved <= np.sqrt(FEATURES) + 1e-9


@pytest.mark.parametrize("value", [0.7, 1e30, float("inf"), float("nan")])
@pytest.mark.parametrize("records", [1, 50])
def test_scores_that_hand_the_features_out_move_all_histograms_by_one_person(
    value: float, records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight scores, each a feature, each its own label, in bins as fine as they come; the person wanted comes often."""
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))
    histograms = tuple(Histogram(name=f"h{number}", bins=1000) for number in range(8))
    evaluation = Evaluation(models=(0,), metrics=("m",), histograms=histograms, noise_multiplier=1.0)
    nodes: Nodes = [("select", [1], {"dim": 0, "index": place}) for place in range(FEATURES)]
    outputs = {name: 3 + place % FEATURES for place, name in enumerate(evaluation.outputs)}
    data = people(6, records)
    data.features[2] = value
    rest = [unit for unit in range(6) if unit != 2]
    without = UnitData((data.features[rest], data.target[rest]), data.mask[rest])
    program = prepared("metrics", nodes, **outputs)
    sums = [local_evaluation(program, torch.ones(FEATURES), it, evaluation, 6) for it in (data, without)]
    moved = sums[0] - sums[1]
    assert np.isfinite(moved).all()
    assert float(np.linalg.norm(moved)) <= 3 + 1e-9
    for number in range(8):
        own = moved[2 + 2000 * number : 2 + 2000 * (number + 1)]
        assert np.abs(own).sum() == pytest.approx(1.0)


def test_a_program_of_a_hundred_thousand_nodes_is_refused_before_it_is_looked_at() -> None:
    """Whether it fits the bytes or only the count of nodes is beyond what is accepted."""
    for count in (20_001, 100_000):
        nodes: Nodes = [*FIRST, *[("abs", [3], {})] * (count - 1)]
        data = canonical_bytes(document(nodes, loss=3))
        with pytest.raises(InvalidInputError):
            parse_program(data)
    within: Nodes = [*FIRST, *[("abs", [3], {})] * 19_999]
    check_program(parse_program(canonical_bytes(document(within, loss=3))), kind="loss")


@pytest.mark.parametrize(
    "name",
    ["аbs", "ａbs", "ab\u017f", "abs\u200b", "abs ", "Abs", "abs.out", "abs_", "torch.abs", "__abs__", "aten::abs"],
)
def test_an_operation_under_a_name_that_looks_like_an_allowed_one_is_refused(name: str) -> None:
    """Cyrillic, full-width, long s, invisible: names that some library would fold into the allowed one, or resolve."""
    nodes: Nodes = [*FIRST, (name, [3], {})]
    with pytest.raises(InvalidInputError):
        check_program(parse_program(canonical_bytes(document(nodes, loss=4))), kind="loss")


@pytest.mark.parametrize(("option", "value"), [("dim", False), ("index", True), ("index", "0")])
def test_true_is_not_one_in_the_options_of_an_operation(option: str, value: object) -> None:
    """Two spellings of one computation, of which a reviewer knows the one and the interpreter the other."""
    nodes: Nodes = [("select", [1], {"dim": 0, "index": 0} | {option: value})]
    with pytest.raises(InvalidInputError):
        check_program(parse_program(canonical_bytes(document(nodes, loss=3))), kind="loss")


def stored(begin: int, end: int, shape: object = (1, FEATURES), size: int = 16, **more: Any) -> bytes:
    """A safetensors file of one tensor whose offsets are not believed."""
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    header = json.dumps({"weight": entry, **more}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


@pytest.mark.parametrize(
    "data",
    [
        stored(16, 32),
        stored(0, 32),
        stored(8, 24, size=24),
        stored(16, 0),
        stored(0, 2**63),
        stored(-16, 0),
        stored(0, 16, shape=[2**32, 2**32]),
        stored(0, 16, shape=[4, 1]),
        stored(0, 16, size=32),
        stored(0, 16, other={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}),
        stored(0, 16, other={"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}, size=24),
    ],
)
def test_a_parameter_file_cannot_point_outside_itself_or_at_one_byte_twice(data: bytes) -> None:
    """Offsets beyond the end would send the site's memory out with the first model."""
    program = Program.model_validate_json(canonical_bytes(document(PRODUCT, loss=4)))
    assert load_parameters(stored(0, 16), program, maximum_bytes=1000)["weight"].shape == (1, FEATURES)
    with pytest.raises(InvalidInputError):
        load_parameters(data, program, maximum_bytes=1000)


@pytest.mark.parametrize("reference", [1, 0, 3])
def test_a_record_or_a_model_cannot_be_copied_out_as_the_loss(reference: int) -> None:
    """The features themselves, the weights, or the features times one: a loss is one number a record."""
    nodes: Nodes = [("abs", [1], {})]
    with pytest.raises(InvalidInputError, match="one float32 number a record"):
        prepared("loss", nodes, loss=reference)


@pytest.mark.parametrize(
    "over",
    [
        ("sum", {"dims": [], "keep": False}),
        ("mean", {"dims": [], "keep": False}),
        ("amax", {"dims": [0], "keep": False}),
    ],
)
def test_what_sums_over_everything_sums_over_one_record(over: tuple[str, dict[str, Any]]) -> None:
    """There is no dimension of people to sum over, compare along or index: others do not move a record by one bit."""
    nodes: Nodes = [("linear", [1, 0], {}), ("mul", [3, 1], {}), (over[0], [4], over[1])]
    data = people(6, 1)
    alone, among = gradients(nodes, data)[0], people(6, 1)
    among.features[1:] = torch.tensor([3e38, -3e38, float("nan"), 1e-45])
    assert torch.equal(gradients(nodes, among)[0], alone)


@pytest.mark.parametrize("dimension", [1, 2, 7])
def test_a_dimension_of_people_cannot_be_named(dimension: int) -> None:
    nodes: Nodes = [("sum", [1], {"dims": [dimension], "keep": False}), ("sum", [3], {"dims": [], "keep": False})]
    with pytest.raises(InvalidInputError, match="does not fit together"):
        prepared("loss", nodes, loss=4)
