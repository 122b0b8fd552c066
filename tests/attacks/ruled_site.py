"""A site whose house rules approve two studies a quarter by themselves, for the attacks on P2 to bend."""

from pathlib import Path
from typing import Any

from datasites.requests.finish_check import admit
from datasites.requests.records import Request
from policies.log.journal import entries
from policies.log.rules_entries import ApprovedByRules
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY

SMALL: dict[str, Any] = {"training": {"noise_multiplier": 40.0}, "evaluation": {"noise_multiplier": 40.0}}
"""What leaves room for several such studies in the budget."""


def new_ruled_scene(folder: Path, database: str) -> Scene:
    made = new_scene(folder, database)
    automatic(made)
    return made


def automatic(scene: Scene, number: int = 2, epsilon: float = 5.0, more: str = "") -> None:
    text = scene.site.home.house_rules_file.read_text().split("[auto_approval]\nst")[0]
    own = f"[auto_approval]\nstudies_a_quarter = {number}\nmaximum_epsilon = {epsilon}\n"
    scene.adopt(more + text.removeprefix(more) + own)


def asked(scene: Scene, study: str = OTHER_STUDY, **changes: Any) -> Request:
    """A study like the first, or changed; as it stands once its programs were found fit."""
    return scene.submit(study, **{**SMALL, **changes})


def admitted(scene: Scene, request: Request) -> Request:
    with scene.site.engine.begin() as connection:
        admit(connection, scene.site, request)
    return scene.request(request.digest)


def by_rules(scene: Scene) -> list[ApprovedByRules]:
    with scene.site.engine.begin() as connection:
        return [it for _, it in entries(connection) if isinstance(it, ApprovedByRules)]
