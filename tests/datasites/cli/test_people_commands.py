"""`datasite people`, and what the other commands say where two persons must approve."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from datasites.cli.main import app
from datasites.site import open_site
from tests.datasites.cli.test_commands import Owner, failure
from tests.one_job import JobScene
from tests.one_site import Scene, new_scene
from tests.site_people import ask_for

OWNER = {"by": ["the owner"], "needed": 2, "missing": 1}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = new_scene(tmp_path)
    monkeypatch.setattr("datasites.cli.options.open_site", lambda home: open_site(home, made.clock))
    return made


class Colleague:
    """Somebody beside the owner, with a key and a passphrase of their own."""

    def __init__(self, owner: Owner, folder: Path) -> None:
        self.owner = owner
        self.options = ("--key-folder", str(folder / "bea"), "--passphrase-file", str(folder / "words"))
        (folder / "words").write_text("a passphrase of her own\n")
        (folder / "words").chmod(0o600)

    def key(self) -> str:
        made = CliRunner().invoke(app, ["people", "key", *self.options, "--json"])
        assert made.exit_code == 0, made.output
        key: str = json.loads(made.stdout)["key"]
        return key

    def decides(self, *words: str) -> Result:
        return self.owner.types(*words, *self.options)


def test_a_reviewer_makes_a_key_is_appointed_decides_and_is_dismissed(scene: Scene, tmp_path: Path) -> None:
    owner = Owner(scene, tmp_path)
    bea = Colleague(owner, tmp_path)
    key = bea.key()
    assert bea.key() == key
    appointed = owner.decides("people", "appoint", "Bea", "--role", "reviewer", "--key", key, "--json")
    assert json.loads(appointed.stdout) == {"name": "Bea", "role": "reviewer", "key": key, "researcher": None}
    assert [(it["name"], it["role"]) for it in owner.asks("people", "list")] == [
        ("the owner", "owner"),
        ("Bea", "reviewer"),
    ]
    ask_for(scene, studies=2)
    request = scene.submit()
    digest = owner.asks("show", "1")["approval_digest"]
    first = owner.decides("approve", digest)
    assert "has 1 of 2 approvals (the owner) and waits for more" in " ".join(first.stdout.split())
    assert owner.asks("show", "1")["approvals"] == owner.asks("requests")[0]["approvals"] == OWNER
    again = owner.decides("approve", digest, "--json")
    assert failure(again)["exit_code"] == 5
    second = bea.decides("approve", digest, "--json")
    assert json.loads(second.stdout) == {
        "number": 1,
        "verdict": "approved",
        "status": "approved",
        "approvals": {"by": ["the owner", "Bea"], "needed": 2, "missing": 0},
    }
    assert owner.decides("people", "dismiss", "Bea", "--reason", "She left.").exit_code == 0
    other = scene.submit("2" * 32)
    assert failure(bea.decides("deny", str(other.number), "--reason", "no", "--json"))["exit_code"] == 3
    assert scene.request(request.digest).status.value == "approved"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("appoint", "Bea", "--role", "reviewer", "--key", "0f"), 2),
        (("appoint", "Be\u200ba", "--role", "reviewer", "--key", "0f" * 32), 2),
        (("appoint", "Bea", "--role", "reviewer", "--key", "0f" * 32, "--researcher", "0e" * 32), 2),
        (("appoint", "Bea", "--role", "owner", "--key", "0f" * 32), 2),
        (("dismiss", "Bea", "--reason", "She left."), 2),
        (("dismiss", "Bea", "--reason", ""), 2),
    ],
)
def test_what_is_typed_wrong_appoints_nobody(scene: Scene, tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    owner = Owner(scene, tmp_path)
    result = owner.decides("people", *words)
    assert (result.exit_code, "Traceback" in result.output) == (code, False)
    assert scene.count("people") == 0


def test_outputs_wait_for_a_second_word(jobs: JobScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasites.cli.options.open_site", lambda home: open_site(home, jobs.scene.clock))
    owner = Owner(jobs.scene, tmp_path)
    bea = Colleague(owner, tmp_path)
    owner.decides("people", "appoint", "Bea", "--role", "reviewer", "--key", bea.key())
    ask_for(jobs.scene, releases=2)
    jobs.ran()
    digest = owner.asks("show", "1")["release_digest"]
    assert "wait for another person's word" in owner.decides("release", digest).stdout
    shown = owner.asks("show", "1")
    assert (shown["status"], shown["release_approvals"]) == ("held", OWNER)
    assert "there are 1 of 2 approvals (the owner)" in " ".join(owner.types("show", "1").stdout.split())
    assert "are released" in bea.decides("release", digest).stdout
