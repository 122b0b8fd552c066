"""The auditor's page: every command on it runs as it stands, finds an honest log sound, and a bent one not."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from datasites.protocol.identity import Identity
from datasites.protocol.log_messages import WitnessReply
from datasites.witnesses.begin import begin_anew
from datasites.witnesses.export import export_log
from policies.log.cosignature import cosign
from tests.one_site import Scene, new_scene
from tests.site_people import Holder, hire
from tests.witness_answers import hear, take_questions

PAGE = Path(__file__).parents[1] / "docs" / "auditor.md"
VALID = "Signature Verified Successfully"
MISSING = [tool for tool in ("bash", "base32", "jq", "openssl", "sha256sum", "xxd") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed here: {', '.join(MISSING)}")


@dataclass(frozen=True)
class Handed:
    """What an auditor is handed, in a folder: a log with a study in it, the site's card, and a witness's."""

    folder: Path
    scene: Scene
    witness: Identity

    def said(self) -> list[str]:
        """What the page's commands print, one after the other."""
        script = "set -eu\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
        ran = subprocess.run(["bash", "-c", script], cwd=self.folder, capture_output=True, text=True, check=False)
        return (ran.stdout + ran.stderr).splitlines()

    def bend(self, old: bytes, new: bytes) -> None:
        """Change the bundle behind everybody's back."""
        bundle = self.folder / "anna.bundle"
        assert old in bundle.read_bytes()
        bundle.write_bytes(bundle.read_bytes().replace(old, new, 1))


def handed(folder: Path, *, reviewed: bool) -> Handed:
    """A study of one site, approved by a reviewer if `reviewed`, else by the owner; its log cosigned by «bern»."""
    scene = new_scene(folder / "site")
    if reviewed:
        scene.owner_key = hire(scene, Holder("Bea Roth")).key
    request = scene.ready()
    for number in range(1, request.terms.sums + 1):
        scene.compute(request, number)
    witness = scene.partners[0]
    assert witness.log is not None
    with scene.site.engine.begin() as connection:
        begin_anew(connection, scene.site, scene.now)
    for party, message in take_questions(scene.site):
        if party == witness.party:
            note = cosign(witness.log, party, message.checkpoint.encode(), scene.now).decode()
            reply = WitnessReply(nonce=message.nonce, checkpoint=note, balance=message.balance)
            hear(scene.site, party, reply, scene.now)
    with scene.site.engine.begin() as connection:
        (folder / "anna.bundle").write_bytes(export_log(connection, scene.site))
    (folder / "anna.card.json").write_bytes(scene.site.identity.card.canonical())
    (folder / "bern.card.json").write_bytes(witness.card.canonical())
    return Handed(folder, scene, witness)


@pytest.mark.parametrize("reviewed", [False, True])
def test_every_command_on_the_page_finds_an_honest_log_sound(tmp_path: Path, reviewed: bool) -> None:
    given = handed(tmp_path, reviewed=reviewed)
    said = given.said()
    assert said[0] == given.scene.site.identity.card.fingerprint
    roots = [line for line in said if re.fullmatch("[0-9a-f]{64}", line)]
    assert len(roots) == 4
    assert roots[0] == roots[1]
    assert roots[2] == roots[3]
    assert said.count(VALID) == (4 if reviewed else 3)
    assert any('"legal_basis"' in line for line in said)
    assert any("Bea Roth" in line if reviewed else line == "signed by the owner" for line in said)
    assert not [line for line in said if "rror" in line]
    report = given.scene.audit()
    assert report.broken == []


def test_a_bent_entry_has_another_root(tmp_path: Path) -> None:
    given = handed(tmp_path, reviewed=False)
    given.bend(b'"kind":"request-closed","reason":"All', b'"kind":"request-closed","reason":"Not')
    said = given.said()
    roots = [line for line in said if re.fullmatch("[0-9a-f]{64}", line)]
    assert roots[0] != roots[1]


def test_a_bent_decision_is_nobodys(tmp_path: Path) -> None:
    given = handed(tmp_path, reviewed=False)
    given.bend(b'"reason":"approved as shown"', b'"reason":"approved as asked"')
    assert given.said().count(VALID) == 2


def test_a_bent_checkpoint_is_not_the_sites(tmp_path: Path) -> None:
    given = handed(tmp_path, reviewed=False)
    head = given.folder.joinpath("anna.bundle").read_bytes().split(b"\n", 1)[0]
    size = re.search(rb"cloister\.log/[0-9a-f]{64}\\n(\d+)\\n", head)
    assert size is not None
    given.bend(b"\\n" + size[1] + b"\\n", b"\\n" + str(int(size[1]) + 1).encode() + b"\\n")
    assert given.said().count(VALID) < 3
