"""The commands that halt things: what they print, what they change, and what other commands say of it."""

from pathlib import Path

import pytest

from datasites.requests.records import Status
from datasites.site import open_site
from tests.attacks.ruled_site import SMALL, asked, automatic
from tests.datasites.cli.test_commands import Owner, failure
from tests.one_site import Scene, new_scene


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Owner:
    scene: Scene = new_scene(tmp_path)
    monkeypatch.setattr("datasites.cli.options.open_site", lambda home: open_site(home, scene.clock))
    return Owner(scene, tmp_path)


def test_a_revocation_says_what_had_gone_out_and_so_does_show(owner: Owner) -> None:
    request = owner.scene.ready()
    owner.scene.compute(request, 1)
    assert [it["what"] for it in owner.asks("show", "1")["went_out"]] == ["the answer to round 1"]
    assert owner.decides("revoke", "1").exit_code == 2  # without a reason
    done = owner.decides("revoke", "1", "--reason", "Consent was withdrawn.")
    assert done.exit_code == 0, done.output
    assert "«Sepsis», is revoked" in done.stdout
    assert "the answer to round 1, to ada." in done.stdout
    assert owner.scene.request(request.digest).status is Status.REVOKED
    (listed,) = owner.asks("requests")
    assert (listed["status"], listed["detail"]) == ("revoked", "Its approval was revoked: Consent was withdrawn.")
    assert owner.asks("show", "1")["revocation"]["reason"] == "Consent was withdrawn."
    printed = owner.types("show", "1").stdout
    assert "Revoked at" in printed
    assert "the answer to round 1, to ada." in printed
    assert failure(owner.decides("revoke", "1", "--reason", "Again.", "--json"))["exit_code"] == 5
    assert failure(owner.decides("revoke", "9", "--reason", "None.", "--json"))["exit_code"] == 2


def test_a_revocation_names_what_ended_with_it(owner: Owner) -> None:
    automatic(owner.scene)
    owner.scene.approved(**SMALL)
    asked(owner.scene)
    done = owner.decides("revoke", "1", "--reason", "Consent was withdrawn.")
    assert "With it ended what house rules approved on it: request 2." in done.stdout


def test_a_stop_is_said_until_it_is_resumed(owner: Owner) -> None:
    request = owner.scene.submit()
    assert failure(owner.decides("resume", "--json"))["exit_code"] == 5
    assert owner.decides("stop").exit_code == 2  # without a reason
    assert "is stopped" in owner.decides("stop", "--reason", "An incident.").stdout
    assert failure(owner.decides("stop", "--reason", "Again.", "--json"))["exit_code"] == 5
    assert "An incident." in owner.types("requests").stdout
    digest = owner.scene.shown_digest(request)
    assert failure(owner.decides("approve", digest, "--json"))["exit_code"] == 3
    assert "goes on" in owner.decides("resume").stdout
    assert "An incident." not in owner.types("requests").stdout
    assert owner.decides("approve", digest).exit_code == 0
