"""P6 and kept weights: killed at either side of a transaction's end, a site keeps them with their study or not."""

from pathlib import Path

import pytest

from datasites.protocol.content import in_letter
from datasites.protocol.messages import StudySubmission
from datasites.requests.records import find_study
from datasites.store import weights as kept
from tests.crashes.crash import crash, points
from tests.crashes.lives import SUBMITTED, Life, letter
from tests.databases import DATABASES, SQLITE
from tests.one_site import Scene
from tests.one_study import INITIAL, OTHER_STUDY, STUDY, whole


def on_the_same_weights(scene: Scene) -> StudySubmission:
    """A second study, which sends none of its parameters."""
    parts = tuple(part.model_copy(update={"sent": False}) for part in whole(INITIAL))
    return scene.submission(scene.terms(OTHER_STUDY), parameter_parts=parts, initial_parameters=in_letter((), 0))


def both_are_here(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        found = [find_study(connection, scene.researcher.party, study) for study in (STUDY, OTHER_STUDY)]
    for request in found:
        assert request is not None
        assert request.parameters_file is not None
        assert b"".join(scene.site.contents.read(request.parameters_file)) == INITIAL
    assert scene.count("weights") == 1


LIFE = Life("weights", (SUBMITTED, letter("second", on_the_same_weights)), both_are_here)


@pytest.mark.parametrize("database", DATABASES)
def test_a_site_killed_while_it_keeps_or_uses_weights_lives_on(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LEAST_KEPT_BYTES", 1)
    found = [it for it in points(LIFE, tmp_path, database) if it.boundary in ("before-commit", "after-commit")]
    assert found
    for number, point in enumerate(found if database == SQLITE else found[1::3]):
        crash(LIFE, point, tmp_path / f"killed-{number}")
