"""The second export: the source that reviewers read, exported again in the real sandbox, against the programs."""

from pathlib import Path

import pytest
import torch.nn.functional as F  # noqa: N812 - as people write it in plans
from torch import Tensor, nn

from datasites.execution.second_export import export_again
from datasites.requests.second_exports import SecondExport, find_second_export, next_to_export
from datasites.sandbox.errand import Cancel
from policies.programs.digests import source_digest
from policies.programs.format import Program
from researcher.export import export
from researcher.plan import TrainingPlan
from tests.one_site import Scene, new_scene
from tests.record_forms import columns

FEATURES = 6


class Risk(TrainingPlan):
    """Logistic regression on the clinic's six features."""

    def model(self) -> nn.Module:
        return nn.Linear(FEATURES, 1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output.squeeze(-1), target.float())

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"accuracy": ((output.squeeze(-1) > 0).long() == target).float()}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def submitted(scene: Scene, loss: Program, metrics: Program, source: str) -> str:
    """A pending study with these programs and this source."""
    programs = {"loss": loss.digest(), "metrics": metrics.digest(), "source": source_digest(source)}
    terms = scene.terms(
        programs={**programs, "parameter_count": loss.parameter_count}, evaluation={"metrics": ["accuracy"]}
    )
    texts = {"loss_program": loss.canonical().decode(), "metrics_program": metrics.canonical().decode()}
    request = scene.receive(terms, source=source, **texts)
    scene.tamper("UPDATE requests SET status = 'pending'")
    return request.digest


def found(scene: Scene, request: str) -> SecondExport | None:
    with scene.site.engine.begin() as connection:
        assert next_to_export(connection) == (request, scene.now + 60)
    export_again(scene.site, request, Cancel())
    with scene.site.engine.begin() as connection:
        return find_second_export(connection, request)


def test_the_source_gives_the_programs_or_it_is_told_that_it_does_not(scene: Scene) -> None:
    exported = export(Risk(), columns(FEATURES, "int64", 2))
    honest = submitted(scene, exported.loss, exported.metrics, exported.source)
    assert found(scene, honest) == SecondExport("agrees", "")
    with scene.site.engine.begin() as connection:
        assert next_to_export(connection) is None


def test_a_source_that_shows_the_reviewer_another_model_is_told(scene: Scene) -> None:
    exported = export(Risk(), columns(FEATURES, "int64", 2))
    shown = exported.source.replace(
        "binary_cross_entropy_with_logits(output.squeeze(-1)", "mse_loss(output.squeeze(-1)"
    )
    assert shown != exported.source
    assert found(scene, submitted(scene, exported.loss, exported.metrics, shown)) == SecondExport("differs", "")


def test_a_source_that_attacks_the_datasite_only_fails(scene: Scene, tmp_path: Path) -> None:
    exported = export(Risk(), columns(FEATURES, "int64", 2))
    mark = tmp_path / "mark"
    attack = f"open({str(mark)!r}, 'w').write('here')\n" + exported.source
    result = found(scene, submitted(scene, exported.loss, exported.metrics, attack))
    assert result is not None
    assert result.result == "failed"
    assert "could not be exported again" in result.sentence
    assert not mark.exists()
