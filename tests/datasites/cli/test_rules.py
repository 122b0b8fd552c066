"""`datasite rules`: what holds, what a set of rules would do, and its adoption by the owner."""

from pathlib import Path

import pytest

from tests.datasites.cli.test_commands import Owner, owner, scene
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY

__all__ = ["owner", "scene"]


def edit(scene: Scene, old: str, new: str) -> Path:
    file = scene.site.home.house_rules_file
    file.write_text(file.read_text().replace(old, new))
    return file


def test_what_is_adopted_holds_and_the_difference_is_said(scene: Scene, owner: Owner) -> None:
    shown = owner.asks("rules", "show")
    assert (shown["rules"]["minimum_cohort"], shown["file"]) == (3, {"problem": "", "changes": []})
    edit(scene, "minimum_cohort = 3", "minimum_cohort = 2  # for a pilot")
    differs = owner.asks("rules", "show")
    assert differs["rules"]["minimum_cohort"] == 3
    assert [(it["name"], it["direction"]) for it in differs["file"]["changes"]] == [("minimum_cohort", "looser")]
    assert "3 → 2" in owner.types("rules", "show").output
    adopted = owner.decides("rules", "adopt")
    assert adopted.exit_code == 0
    assert "looser" in adopted.output
    after = owner.asks("rules", "show")
    assert after["rules"]["minimum_cohort"] == 2
    assert after["digest"] != shown["digest"]
    assert owner.decides("rules", "adopt").exit_code == 3
    assert scene.audit().broken == []


def test_a_comment_changes_nothing(scene: Scene, owner: Owner) -> None:
    edit(scene, "# Standing rules", "# Our standing rules")
    assert owner.asks("rules", "show")["file"]["changes"] == []
    assert scene.approved().decision is not None


def test_a_file_with_a_typo_stops_approvals_and_says_where(scene: Scene, owner: Owner) -> None:
    edit(scene, "minimum_cohort = 3", "minimum_cohort = three")
    assert "house_rules.toml" in owner.asks("rules", "show")["file"]["problem"]
    assert owner.decides("rules", "adopt").exit_code == 2
    assert owner.types("rules", "check").exit_code == 2
    assert owner.types("requests").exit_code == 0


def test_only_the_owners_key_adopts(scene: Scene, owner: Owner) -> None:
    edit(scene, "minimum_cohort = 3", "minimum_cohort = 4")
    owner.passphrase.write_bytes(b"something else\n")
    assert owner.decides("rules", "adopt").exit_code == 4
    assert owner.asks("rules", "show")["rules"]["minimum_cohort"] == 3


@pytest.mark.parametrize("file", [None, "strict.toml"])
def test_the_linter_says_what_a_set_would_have_done(
    scene: Scene, owner: Owner, tmp_path: Path, file: str | None
) -> None:
    scene.approved(training={"noise_multiplier": 20.0})
    scene.submit(OTHER_STUDY, privacy={"epsilon": 6.0})
    text = scene.site.home.house_rules_file.read_text().replace("maximum_epsilon = 10.0", "maximum_epsilon = 5.0")
    path = scene.site.home.house_rules_file if file is None else tmp_path / file
    path.write_text(text + "[auto_approval]\nstudies_a_quarter = 1\nmaximum_epsilon = 5.0\n")
    found = owner.asks("rules", "check", *([] if file is None else [path]))
    assert [it["result"] for it in found["requests"]] == ["allowed", "forbidden"]
    assert "ε=6" in found["requests"][1]["sentences"][0]
    assert any("without maximum_epsilon_per_quarter" in it for it in found["remarks"])
    assert "forbidden" in owner.types("rules", "check", *([] if file is None else [path])).output
