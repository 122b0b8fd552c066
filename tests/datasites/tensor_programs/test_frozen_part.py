"""Where a program is cut: behind the body, before what is cheaper made than kept, never past parameters or chance."""

from typing import Any

from datasites.tensor_programs.frozen_part import Cut, find_cut, worth_keeping
from datasites.tensor_programs.node_costs import NodeCost, node_costs
from policies.programs.format import Program
from policies.statements.canonical import canonical_bytes
from tests import frozen_study


def program(document: dict[str, Any]) -> Program:
    return Program.model_validate_json(canonical_bytes(document))


def cut_of(document: dict[str, Any]) -> Cut | None:
    checked = program(document)
    return find_cut(checked, node_costs(checked))


def test_a_frozen_body_is_cut_off_at_its_output_and_the_target_crosses_as_it_is() -> None:
    cut = cut_of(frozen_study.LOSS)
    assert cut is not None
    assert cut.values == (frozen_study.FEATURES + 1, frozen_study.CUT)
    matrix = 2 * frozen_study.WIDTH * (3 + frozen_study.WIDTH + frozen_study.GIVEN)
    assert matrix < cut.operations < 1.01 * matrix


def test_a_program_that_is_trained_from_its_first_node_has_no_prefix() -> None:
    document = frozen_study.program(
        [("linear", [4, 0], {}), ("select", [6], {"dim": 0, "index": 0}), ("sigmoid", [7], {})], "loss"
    )
    weights = [{**entry, "kind": "parameter"} for entry in document["inputs"][:4]]
    document["inputs"][:4] = sorted(weights, key=lambda entry: entry["name"])
    assert cut_of(document) is None


def test_an_expanded_value_is_kept_as_what_it_was_made_of() -> None:
    expanded = [
        *frozen_study.BODY,
        ("expand", [frozen_study.CUT], {"shape": (300, frozen_study.GIVEN)}),
        ("gt", [11, 10], {}),
        ("to", [12], {"dtype": "float32"}),
        ("mul", [13, 0], {}),
        ("sum", [14], {"dims": (), "keep": False}),
    ]
    cut = cut_of(frozen_study.program(expanded, "loss"))
    assert cut is not None
    assert cut.values == (frozen_study.CUT,)


def test_what_depends_on_chance_is_not_computed_once_for_all() -> None:
    document = frozen_study.program([*frozen_study.BODY, *frozen_study.HEAD], "loss")
    document["nodes"][1] = {"op": "uniform", "args": [], "kwargs": {"shape": [frozen_study.WIDTH]}}
    document["nodes"].insert(2, {"op": "mul", "args": [6, 7], "kwargs": {}})
    for node in document["nodes"][3:]:
        node["args"] = [it + 1 if it > 6 else it for it in node["args"]]
    document["outputs"][0]["ref"] += 1
    noisy = program(document)
    width = NodeCost((frozen_study.WIDTH,), "float32", 1000)
    cut = find_cut(noisy, [width] * (len(noisy.inputs) + len(noisy.nodes)))
    assert cut == Cut((6,), 1000)


def test_a_cache_is_kept_only_where_it_saves_more_than_it_costs() -> None:
    costs = node_costs(program(frozen_study.LOSS))
    cut = cut_of(frozen_study.LOSS)
    assert cut is not None
    assert worth_keeping(cut, costs, once=100, otherwise=1000)
    assert not worth_keeping(cut, costs, once=100, otherwise=100)
    assert not worth_keeping(Cut(cut.values, 300), costs, once=100, otherwise=10**6)
