"""The commands that prove and check: receipts, what is kept of others' logs, and what an auditor brings to `verify`."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from datasites.cli.main import app
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.site import open_site
from datasites.witnesses.gossip import compare
from datasites.witnesses.keep import keep_checkpoint
from policies.log.cosignature import cosign
from tests.attacks.opened_sum import opened_sum, tell
from tests.attacks.test_p5_two_witnesses import FORK, LEAVES, note
from tests.one_site import Scene, new_scene
from tests.witness_answers import take_questions


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = new_scene(tmp_path)
    monkeypatch.setattr("datasites.cli.options.open_site", lambda home: open_site(home, made.clock))
    return made


def typed(scene: Scene, *words: str | Path, at_home: bool = True) -> Result:
    at = ["--home", str(scene.site.home.folder)] if at_home else []
    return CliRunner().invoke(app, [*map(str, words), *at])


def answered(scene: Scene, *words: str | Path, at_home: bool = True) -> Any:
    result = typed(scene, *words, "--json", at_home=at_home)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def confirm_cosigned(scene: Scene) -> None:
    """Both partners keep and cosign whatever the site asks them, until nothing more is asked."""
    identities = {it.party: it for it in scene.partners}
    while asked := [it for it in take_questions(scene.site) if it[0] in identities]:
        for party, message in asked:
            signed = cosign(identities[party].cosigning, party, message.checkpoint.encode(), scene.now).decode()
            scene.hear(party, WitnessReply(nonce=message.nonce, checkpoint=signed, balance=message.balance))


def test_a_round_is_proved_and_the_log_shows_who_cosigned_it(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "witness", lambda: confirm_cosigned(scene))
    request = scene.ready()
    answer = scene.compute(request, 1)
    receipt, bundle = tmp_path / "receipt", tmp_path / "bundle"
    early = typed(scene, "receipt", "1", receipt, "--round", "1")
    assert early.exit_code == 3
    assert "has not told" in early.stderr
    tell(scene, opened_sum(scene, request, answer))
    assert answered(scene, "receipt", "1", receipt, "--round", "1")["entries"] == 5
    cards = [word for name in ("bern", "cadiz") for word in ("--witness", tmp_path / name / "card.json")]
    own = scene.site.home.card_file
    report = answered(scene, "verify-receipt", receipt, "--card", own, *cards, at_home=False)
    assert report["broken"] == []
    assert sum("signed the vector that the sum names as its own" in it for it in report["proved"]) == 2

    answered(scene, "log", "export", bundle)
    report = answered(scene, "verify", bundle, "--card", own, *cards, at_home=False)
    for name in ("bern", "cadiz"):
        assert any(f"«{name}» cosigned a checkpoint of" in sentence for sentence in report["proved"])
    assert typed(scene, "verify", bundle, *cards, at_home=False).exit_code == 0

    receipt.write_bytes(receipt.read_bytes().replace(b'\\"round\\":1', b'\\"round\\":2', 1))
    forged = typed(scene, "verify-receipt", receipt, "--card", own, at_home=False)
    assert (forged.exit_code, "broken" in forged.stdout) == (1, True)
    receipt.write_text("{}")
    assert typed(scene, "verify-receipt", receipt, at_home=False).exit_code == 2


def test_what_is_kept_of_others_is_listed_handed_out_and_settled(scene: Scene, tmp_path: Path) -> None:
    bern, out = scene.partners[0], tmp_path / "out"
    request = WitnessRequest(
        nonce="0f" * 16, checkpoint=note(bern, LEAVES[:30]), proof_from=0, proof=(), balance="ab" * 40, recovery=None
    )
    with scene.site.engine.begin() as connection:
        keep_checkpoint(connection, scene.site.identity, bern.card, request, scene.now)
        compare(connection, scene.site.identity.party, [note(bern, FORK[:30])], scene.now)
    found = {it["standing"]: it for it in answered(scene, "witnessed", "list")}
    assert {it["name"] for it in found.values()} == {"bern"}
    assert set(found) == {"kept", "first", "second"}
    shown = typed(scene, "witnessed", "list")
    assert "TWO HISTORIES" in shown.stdout
    files = [Path(it["file"]) for it in answered(scene, "witnessed", "export", out)]
    assert {it.name.partition("-")[2] for it in files} == {"kept.checkpoint", "first.checkpoint", "second.checkpoint"}
    assert answered(scene, "witnessed", "settle", "bern", "--reason", "Its machine was copied.")["party"] == bern.party
    assert [it["standing"] for it in answered(scene, "witnessed", "list")] == ["kept"]
    assert typed(scene, "witnessed", "settle", "nobody", "--reason", "None.").exit_code == 2


def test_an_auditor_with_a_checkpoint_from_elsewhere_sees_the_fork(scene: Scene, tmp_path: Path) -> None:
    bundle, checkpoint = tmp_path / "bundle", tmp_path / "checkpoint"
    answered(scene, "log", "export", bundle)
    checkpoint.write_text(note(scene.site.identity, FORK[:3]))
    result = typed(
        scene, "verify", bundle, "--card", scene.site.home.card_file, "--checkpoint", checkpoint, at_home=False
    )
    assert result.exit_code == 1
    assert "log key signed both" in " ".join(result.stdout.split())
