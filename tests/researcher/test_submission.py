"""From a wish to terms: the least noise that keeps the promise, and nothing that a site would have to refuse."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from datasites.protocol.identity import Identity
from datasites.protocol.messages import Allowance
from policies.budget.costs import request_cost, request_epsilon
from policies.budget.filter import allowance_units, filter_order
from policies.errors import InvalidInputError
from policies.manifest import Manifest
from policies.programs.digests import parameters_digest, source_digest
from policies.terms import Privacy, SecureAveraging, Terms
from researcher.catalog import DataSet, require_same_columns
from researcher.correspondence import Correspondence
from researcher.curves import ScoreCurve
from researcher.estimates import Estimate
from researcher.export import ExportedPlan, export
from researcher.results import Result
from researcher.round_record import RoundRecord
from researcher.state import State
from researcher.study import Study, open_study
from researcher.submission import Ask, draft_terms, keep_study
from tests.record_forms import columns
from tests.researcher.plans import LogisticRegression

ASK = Ask(
    title="Sepsis",
    purpose="Early warning",
    legal_basis="Consent.",
    recipients="The study group",
    onward_use="None",
    privacy=Privacy(epsilon=4.0, delta=1e-6),
    rounds=8,
    evaluate=(0, 4, 8),
    sampling_rate=1.0,
)


@pytest.fixture(scope="module")
def exported() -> ExportedPlan:
    return export(LogisticRegression(), columns(5, "int64", 2))


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> list[DataSet]:
    folder = tmp_path_factory.mktemp("sites")
    allowance = Allowance(remaining_training_share=1.0, remaining_evaluation_share=1.0, epsilon=10.0, delta=1e-6)
    return [
        DataSet(
            Identity.create(folder / name, name, "datasite", bytes(range(start, start + 32))).card,
            f"clinic-{name}",
            manifest.model_copy(update={"name": f"clinic-{name}"}),
            allowance,
            pd.DataFrame(),
        )
        for start, name in enumerate(("bern", "cadiz", "delft"))
    ]


def drafted(exported: ExportedPlan, data_sets: list[DataSet], **changes: Any) -> Terms:
    return draft_terms("e" * 64, exported, data_sets, dataclasses.replace(ASK, **changes))


def keeps(terms: Terms) -> bool:
    """By its own best order, and by the filter of people whose whole lifetime budget is what was promised."""
    epsilon, delta = terms.privacy.epsilon, terms.privacy.delta
    order = filter_order(epsilon, delta)
    cost, allowance = request_cost(terms, order), allowance_units(epsilon, delta, order)
    return request_epsilon(terms) <= epsilon and max(cost.training_units, cost.evaluation_units) <= allowance


@pytest.mark.parametrize(
    "changes",
    [
        {"sampling_rate": 0.5},
        {"privacy": Privacy(epsilon=0.5, delta=1e-7)},
        {"rounds": 1, "evaluate": (1,)},
        {"rounds": 100, "evaluate": (), "local_steps": 5, "retries": 0, "sampling_rate": 0.05},
        {"evaluate": tuple(range(9))},
    ],
)
def test_the_noise_is_the_least_that_keeps_the_promise(
    exported: ExportedPlan, data_sets: list[DataSet], changes: dict[str, Any]
) -> None:
    terms = drafted(exported, data_sets, **changes)
    assert keeps(terms)
    assert request_epsilon(terms) > 0.99 * terms.privacy.epsilon
    less = {"training": {"noise_multiplier": terms.training.noise_multiplier - 2e-4}}
    if terms.evaluation.models:
        less["evaluation"] = {"noise_multiplier": terms.evaluation.noise_multiplier - 2e-4}
    for section, change in less.items():
        quieter = terms.model_copy(update={section: getattr(terms, section).model_copy(update=change)})
        assert not keeps(quieter)


def test_without_a_promise_there_is_no_noise(exported: ExportedPlan, data_sets: list[DataSet]) -> None:
    terms = drafted(exported, data_sets, privacy=None)
    assert (terms.training.noise_multiplier, terms.evaluation.noise_multiplier) == (0, 0)
    assert request_epsilon(terms) is None


def test_more_measurements_take_more_noise(exported: ExportedPlan, data_sets: list[DataSet]) -> None:
    few, many = drafted(exported, data_sets, evaluate=(8,)), drafted(exported, data_sets, evaluate=tuple(range(9)))
    assert few.evaluation.noise_multiplier < many.evaluation.noise_multiplier
    assert few.training == many.training


def test_the_terms_cover_everything_that_goes_along(exported: ExportedPlan, data_sets: list[DataSet]) -> None:
    terms = drafted(exported, data_sets)
    assert terms.programs.loss == exported.loss.digest()
    assert terms.programs.metrics == exported.metrics.digest()
    assert terms.programs.initial_parameters == parameters_digest(exported.parameters)
    assert terms.programs.source == source_digest(exported.source)
    assert terms.programs.parameter_count == exported.loss.parameter_count == 6
    assert [(it.site, it.data_set) for it in terms.cohort] == [(it.site.party, it.name) for it in data_sets]
    assert terms.sums == 9


def test_every_study_has_a_name_of_its_own(exported: ExportedPlan, data_sets: list[DataSet]) -> None:
    assert len({drafted(exported, data_sets).study for _ in range(3)}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluate": (9,)},
        {"evaluate": (4, 4)},
        {"title": ""},
        {"learning_rate": 0.0},
        {"clipping_norm": -1.0},
        {"purpose": "x\u202ey"},
        {"sampling_rate": 0.0},
        {"sampling_rate": 1.5},
        {"rounds": 0},
        {"secure_averaging": SecureAveraging(minimum_cohort=4, colluders=1, bits=20, update_range=4.0)},
    ],
)
def test_a_wish_that_makes_no_terms_is_refused_before_anything_is_sent(
    exported: ExportedPlan, data_sets: list[DataSet], changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError):
        drafted(exported, data_sets, **changes)


def test_too_few_sites_or_one_site_twice_are_refused(exported: ExportedPlan, data_sets: list[DataSet]) -> None:
    for cohort in (data_sets[:2], [*data_sets, data_sets[0]]):
        with pytest.raises(InvalidInputError):
            drafted(exported, cohort)


def test_data_sets_of_two_shapes_are_refused(data_sets: list[DataSet]) -> None:
    assert require_same_columns(data_sets) == data_sets[0].manifest
    (number,) = [it for it in data_sets[0].manifest.columns if it.name == "pressure"]
    columns = tuple(
        it.model_copy(update={"maximum": 221.0}) if it == number else it for it in data_sets[0].manifest.columns
    )
    other = dataclasses.replace(data_sets[1], manifest=data_sets[1].manifest.model_copy(update={"columns": columns}))
    with pytest.raises(InvalidInputError):
        require_same_columns([data_sets[0], other])
    with pytest.raises(InvalidInputError):
        require_same_columns([])


def kept(exported: ExportedPlan, data_sets: list[DataSet], folder: Path) -> Study:
    identity = Identity.create(folder / "ada", "ada", "researcher")
    state = State(folder / "state.sqlite")
    for it in data_sets:
        state.pin(it.site)
    terms = draft_terms(identity.party, exported, data_sets, ASK)
    keep_study(state, terms, exported, None, None)
    return open_study(Correspondence(identity, State(folder / "state.sqlite"), None), terms.study, LogisticRegression())


def test_a_study_is_kept_before_it_is_sent(exported: ExportedPlan, data_sets: list[DataSet], tmp_path: Path) -> None:
    study = kept(exported, data_sets, tmp_path)
    row = study.correspondence.state.study(study.identifier)
    assert study.correspondence.state.parameters(study.identifier) == exported.parameters
    assert (row["round"], row["run"], row["roster"]) == (0, None, None)
    assert study.correspondence.state.model(study.identifier).size == exported.parameter_count
    assert [it.status for it in study.statuses()] == ["unknown"] * 3
    result = study.result()
    assert result.history == ()
    for name, value in exported.model.state_dict().items():
        assert torch.equal(result.model.state_dict()[name], value)


def test_there_is_no_such_study(exported: ExportedPlan, data_sets: list[DataSet], tmp_path: Path) -> None:
    study = kept(exported, data_sets, tmp_path)
    with pytest.raises(InvalidInputError):
        open_study(study.correspondence, "f" * 32, LogisticRegression())


def test_a_result_shows_what_was_measured_and_what_it_cost(
    exported: ExportedPlan, data_sets: list[DataSet], tmp_path: Path
) -> None:
    terms = drafted(exported, data_sets)
    name, other = terms.evaluation.metrics
    curve = ScoreCurve(negatives=(40.5, 3.25, -1.0), positives=(2.0, 5.5, 31.0), noise=1.5)
    history = tuple(
        RoundRecord(
            number,
            {name: Estimate(value=number / 10, noise=0.1), other: Estimate(value=0.5, noise=0.0)},
            {"ill": curve},
            0.5,
            0.25,
        )
        if terms.evaluates_in(number)
        else RoundRecord(number, None, None, 0.5, 0.25)
        for number in range(1, terms.sums + 1)
    )
    assert all(RoundRecord.from_json(record.as_json()) == record for record in history)
    trained = {key: value + 1 for key, value in exported.model.state_dict().items()}
    result = Result(terms, LogisticRegression(), ("bern", "cadiz", "delft"), history, trained, (), None)
    assert {number: shown[name].value for number, shown in result.metrics.items()} == {0: 0.1, 4: 0.5, 8: 0.9}
    assert result.curves.keys() == {0, 4, 8}
    assert history[0].figure("ill") == curve.auroc
    assert history[1].figure("ill") is None
    assert not result.model.training
    with torch.no_grad():
        features = torch.from_numpy(np.linspace(-1, 1, 5, dtype=np.float32))[None]
        moved, initial = result.model(features), exported.model(features)
    assert not torch.allclose(moved, initial)
    report = result.privacy_report()
    assert f"{request_epsilon(terms):.3f}" in report
    assert "promised ε=4" in report
    assert f"{terms.training.noise_multiplier:.4f}" in report
    assert result.plot(tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
