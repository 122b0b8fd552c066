"""Findings on tensor programs, and what differs between two: layers that could learn people by heart, node by node."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.manifest import Manifest, parse_manifest
from policies.programs.format import Program, parse_program
from policies.review.findings import Finding, collect
from policies.review.program_differences import program_edits
from policies.review.program_facts import program_facts
from policies.review.program_notes import program_notes
from policies.statements.canonical import canonical_bytes
from policies.terms import Histogram
from tests.conftest import CLINIC
from tests.one_study import LOSS, METRICS, OTHER_LOSS
from tests.policies.log.test_entries import TERMS

MANIFEST: Manifest = parse_manifest(CLINIC.encode() if isinstance(CLINIC, str) else CLINIC)
PEOPLE = MANIFEST.training_units
CROSS_ENTROPY = {"op": "binary_cross_entropy_with_logits", "args": [8, 5], "kwargs": {"reduction": "mean"}}


def node(op: str, *args: int, **kwargs: Any) -> dict[str, Any]:
    return {"op": op, "args": list(args), "kwargs": kwargs}


def program(shapes: dict[str, list[int]], nodes: list[dict[str, Any]], result: int | None = None) -> Program:
    """Values: the parameters in the order of their names, the features, the target, then the nodes."""
    kinds = [{"name": name, "kind": "parameter", "shape": shapes[name], "dtype": "float32"} for name in sorted(shapes)]
    document = {
        "version": "cloister-program/1",
        "inputs": [
            *kinds,
            {"name": "features", "kind": "feature", "shape": [6], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": "int64"},
        ],
        "nodes": nodes,
        "outputs": [{"name": "loss", "ref": len(kinds) + 1 + len(nodes) if result is None else result}],
    }
    return parse_program(canonical_bytes(document))


def notes(made: Program) -> list[Finding]:
    return list(collect(program_notes("loss", made, MANIFEST, TERMS.evaluation)).found)


def test_a_small_program_has_nothing_that_stands_out() -> None:
    assert notes(parse_program(LOSS.encode())) == []


@pytest.mark.parametrize(("width", "told"), [(PEOPLE, False), (PEOPLE + 1, True)])
def test_a_layer_wider_than_the_people_is_told(width: int, told: bool) -> None:
    found = notes(program({"w": [width, 6]}, [node("linear", 1, 0), node("sum", 3, dims=[], keep=False)]))
    assert [(it.check, it.severity) for it in found] == ([("memorising", "medium")] if told else [])


@pytest.mark.parametrize(("rows", "severity"), [(PEOPLE // 2, None), (PEOPLE - 1, "medium"), (PEOPLE, "high")])
def test_a_row_for_each_person_is_told(rows: int, severity: str | None) -> None:
    made = program({"w": [rows, 1]}, [node("embedding", 0, 2), node("sum", 3, dims=[], keep=False)])
    assert [it.severity for it in notes(made) if it.check == "memorising"] == ([severity] if severity else [])


def test_a_table_that_is_turned_and_gathered_from_is_told() -> None:
    made = program(
        {"w": [1, PEOPLE]},
        [node("permute", 0, dims=[1, 0]), node("gather", 3, 2, dim=0), node("sum", 4, dims=[], keep=False)],
    )
    assert [it.severity for it in notes(made) if it.check == "memorising"] == ["high"]


def test_random_numbers_are_told() -> None:
    nodes = [node("uniform", shape=[2, 3]), node("mul", 0, 3), node("sum", 4, dims=[], keep=False)]
    found = notes(program({"w": [3]}, nodes))
    assert any("It draws 6 random numbers for each record" in it.sentence for it in found)


def test_cases_as_many_as_people_are_told() -> None:
    nodes = [node("one_hot", 2, classes=PEOPLE), node("sum", 0, dims=[], keep=False)]
    found = notes(program({"w": [6]}, nodes))
    assert any("tells" in it.sentence and it.check == "memorising" for it in found)


TARGET, FEATURE, BOTH, CONSTANT = 5, 7, 8, 9
WITHOUT_MODEL = "Its result «p_label» does not depend on the trained model at all."
WITHOUT_RECORD = "Its result «p_label» does not depend on the record at all."
FROM_FEATURES = "The label of score «p» is made from the record's features, not from its target alone."


@pytest.mark.parametrize(
    ("scores", "label", "told"),
    [
        (["p"], TARGET, []),
        (["p"], FEATURE, [FROM_FEATURES]),
        (["p"], BOTH, [FROM_FEATURES]),
        (["p"], CONSTANT, [WITHOUT_RECORD, WITHOUT_MODEL]),
        ([], TARGET, [WITHOUT_MODEL]),  # two metrics that are only called as if they were a score and its label
        ([], FEATURE, [WITHOUT_MODEL]),
    ],
)
def test_only_a_label_made_from_the_target_may_not_depend_on_the_model(
    scores: list[str], label: int, told: list[str]
) -> None:
    document = json.loads(METRICS)
    document["nodes"] += [
        node("sum", 1, dims=[], keep=False),
        node("mul", 5, 7),
        node("full", shape=[], value=1.0, dtype="float32"),
    ]
    document["outputs"] = [{"name": "p_score", "ref": 6}, {"name": "p_label", "ref": label}]
    evaluation = TERMS.evaluation.model_copy(update={"histograms": tuple(Histogram(name=it, bins=2) for it in scores)})
    found = collect(program_notes("metrics", parse_program(canonical_bytes(document)), MANIFEST, evaluation)).found
    assert sorted(it.sentence for it in found if "«p" in it.sentence) == told


def test_a_result_without_model_or_record_is_told() -> None:
    made = program(
        {"w": [6]}, [node("sum", 0, dims=[], keep=False), node("full", shape=[], value=1.0, dtype="float32")]
    )
    assert sorted(it.sentence for it in notes(made)) == [
        "Its result «loss» does not depend on the record at all.",
        "Its result «loss» does not depend on the trained model at all.",
        "Operations of it that influence no result: 1.",
    ]


def test_the_facts_are_counted() -> None:
    terms = TERMS.model_copy(update={"training": TERMS.training.model_copy(update={"rounds": 3})})
    facts = program_facts(parse_program(LOSS.encode()), parse_program(METRICS.encode()), MANIFEST, terms)
    assert (facts.parameters, facts.results, facts.features, facts.multiplications) == (6, 1, 6, 12)
    assert facts.numbers_sent == 3 * TERMS.programs.parameter_count + 2 * 2  # two models measured, v and 1 − v
    assert len(facts.sentences()) == 3


def test_the_same_program_has_no_difference() -> None:
    assert program_edits(parse_program(LOSS.encode()), parse_program(LOSS.encode())) == []


def test_another_loss_is_one_difference() -> None:
    (edit,) = program_edits(parse_program(LOSS.encode()), parse_program(OTHER_LOSS.encode()))
    assert "was binary_cross_entropy_with_logits(reduction=mean) and is, as node 3, mse_loss(reduction=mean)" in edit


def test_a_node_put_between_is_one_difference() -> None:
    plain = [node("linear", 1, 0), node("sigmoid", 3), node("sum", 4, dims=[], keep=False)]
    between = [node("linear", 1, 0), node("relu", 3), node("sigmoid", 4), node("sum", 5, dims=[], keep=False)]
    before, after = (program({"w": [2, 6]}, nodes) for nodes in (plain, between))
    assert program_edits(before, after) == ["There is a new node 1, relu."]
    assert program_edits(after, before) == ["Node 1, relu, is gone."]


def test_the_same_operations_on_other_values_are_a_difference() -> None:
    nodes = [node("linear", 1, 0), node("relu", 3), node("sub", 3, 4), node("sum", 5, dims=[], keep=False)]
    swapped = [*nodes[:2], node("sub", 4, 3), nodes[3]]
    before, after = (program({"w": [2, 6]}, it) for it in (nodes, swapped))
    assert program_edits(before, after) == [f"Node 2, sub, takes another value as its operand {n}." for n in (1, 2)]


def test_another_shape_and_another_result_are_told() -> None:
    nodes = [node("linear", 1, 0), node("sum", 3, dims=[], keep=False), node("neg", 4)]
    before = program({"w": [2, 6]}, nodes)
    assert program_edits(before, program({"w": [4, 6]}, nodes)) == [
        "The input «w» was parameter, float32 [2, 6] and is parameter, float32 [4, 6]."
    ]
    assert program_edits(before, program({"w": [2, 6]}, nodes, result=4)) == ["The result «loss» is another value."]


UNARY = st.sampled_from(["relu", "sigmoid", "tanh", "neg", "exp"])
CHAINS = st.lists(st.tuples(UNARY, st.integers(0, 5)), min_size=1, max_size=12)


def chain(steps: list[tuple[str, int]]) -> Program:
    return program({"w": [6]}, [node(op, max(0, 2 + at - back) if at else 0) for at, (op, back) in enumerate(steps)])


@settings(max_examples=200, deadline=None)
@given(CHAINS, CHAINS)
def test_two_programs_differ_exactly_if_something_is_told(first: list[Any], second: list[Any]) -> None:
    before, after = chain(first), chain(second)
    assert bool(program_edits(before, after)) == (before.digest() != after.digest())


def test_a_thousand_nodes_that_all_differ_take_no_time() -> None:
    many = [node("relu" if at % 2 else "exp", 0) for at in range(15_000)]
    other = [node("tanh" if at % 3 else "exp", 0) for at in range(15_000)]
    found = program_edits(program({"w": [6]}, many), program({"w": [6]}, other))
    assert len(found) >= 10_000
    assert json.dumps(found[0])
