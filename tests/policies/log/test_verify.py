"""The verifier: what it says with and without pinned keys, and the command that an auditor runs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import InvalidInputError
from policies.log import entries as log
from policies.log import merkle
from policies.log.bundle import SiteFacts, write_bundle
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.cosignature import cosign
from policies.log.verify import Pinned, verify_bundle
from tests.attacks import honest_log
from tests.attacks.honest_job_log import HONEST_JOBS
from tests.attacks.honest_log import HONEST
from tests.attacks.honest_sum import HONEST_WITH_SUM
from tests.attacks.test_p5_receipts import CARDS, receipt

LOG_KEY = Ed25519PrivateKey.generate()
LOG_PUBLIC = LOG_KEY.public_key().public_bytes_raw()
FACTS = SiteFacts(name="Klinikum Süd", signing_key="1a" * 32, log_key=LOG_PUBLIC.hex(), owner_key="3c" * 32)
OTHER = "ab" * 32
ENTRIES: list[log.LogEntry] = [
    log.SiteOpened(at=10, site=FACTS.site, **FACTS.model_dump()),
    log.PeerPinned(at=11, party=OTHER, name="Researcher", role="researcher", card=OTHER),
    log.MessageGap(at=12, sender=OTHER, expected=1, got=3),
]


def note(entries: Sequence[log.LogEntry]) -> bytes:
    head = merkle.tree_head(merkle.leaf_hash(entry.canonical()) for entry in entries)
    return sign_checkpoint(LOG_KEY, Checkpoint(log_origin(FACTS.site), head))


def export(entries: Sequence[log.LogEntry]) -> bytes:
    return write_bundle(FACTS, note(entries), [entry.canonical() for entry in entries])


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "policies.log", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def test_a_sound_log_has_nothing_broken_and_says_what_stays_open() -> None:
    report = verify_bundle(export(ENTRIES), Pinned())
    assert report.broken == []
    assert "at 3 entries" in report.proved[0]
    for part in (
        "outside the datasite",
        "log key is this site's",
        "owner key is this owner's",
        "cut off",
        "another log",
    ):
        assert any(part in sentence for sentence in report.not_proved)


def test_pinned_keys_and_an_earlier_checkpoint_leave_less_open() -> None:
    pinned = Pinned(LOG_PUBLIC, bytes.fromhex(FACTS.owner_key), (note(ENTRIES[:1]), note(ENTRIES)))
    report = verify_bundle(export(ENTRIES), pinned)
    assert report.broken == []
    assert any("each of the 2 earlier checkpoints" in sentence for sentence in report.proved)
    for part in ("log key is this site's", "owner key is this owner's", "cut off"):
        assert not any(part in sentence for sentence in report.not_proved)


def test_a_bundle_under_other_keys_than_the_pinned_is_broken() -> None:
    report = verify_bundle(export(ENTRIES), Pinned(bytes(32), bytes(32)))
    assert [item.position for item in report.broken] == [None, None, None]
    assert report.proved == []


def test_a_cosignature_that_was_not_checked_is_not_counted_as_proof() -> None:
    cosigned = cosign(Ed25519PrivateKey.generate(), OTHER, note(ENTRIES), 20)
    data = write_bundle(FACTS, note(ENTRIES), [entry.canonical() for entry in ENTRIES], [cosigned])
    report = verify_bundle(data, Pinned())
    assert report.broken == []
    assert any("it holds 1 by others" in sentence and "not checked" in sentence for sentence in report.not_proved)


def test_an_empty_log_is_broken() -> None:
    report = verify_bundle(export([]), Pinned())
    assert "no entries" in report.broken[0].reason


def test_a_clock_that_was_set_back_is_reported_and_not_a_break() -> None:
    report = verify_bundle(export([*ENTRIES, ENTRIES[1]]), Pinned())
    assert report.broken == []
    assert any("dated before the one they follow: 1." in sentence for sentence in report.not_proved)


def test_an_opening_entry_for_other_keys_or_in_another_place_is_a_break() -> None:
    other = ENTRIES[0].model_copy(update={"owner_key": OTHER})
    assert verify_bundle(export([other, *ENTRIES[1:]]), Pinned()).broken[0].position == 0
    assert verify_bundle(export(ENTRIES[1:]), Pinned()).broken[0].position == 0
    assert verify_bundle(export([*ENTRIES, ENTRIES[0]]), Pinned()).broken[0].position == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 255))
def test_no_flipped_byte_of_a_bundle_survives(place: int, change: int) -> None:
    data = bytearray(export(ENTRIES))
    data[place % len(data)] ^= change
    try:
        report = verify_bundle(bytes(data), Pinned(LOG_PUBLIC))
    except InvalidInputError:
        return
    assert report.broken


def test_the_command_tells_sound_broken_and_unreadable_apart(tmp_path: Path) -> None:
    sound, broken, foreign, earlier = (tmp_path / name for name in ("sound", "broken", "foreign", "earlier"))
    sound.write_bytes(export(ENTRIES))
    broken.write_bytes(export(ENTRIES).replace(b'"got":3', b'"got":2'))
    foreign.write_bytes(b"something else\n")
    earlier.write_bytes(note(ENTRIES[:2]))

    result = command(sound, "--log-key", LOG_PUBLIC.hex(), "--checkpoint", earlier)
    assert result.returncode == 0, result.stderr
    assert "PROVED" in result.stdout
    assert "NOT PROVED" in result.stdout
    assert "BROKEN" not in result.stdout

    result = command(broken, "--json")
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert report["proved"] == []
    assert report["broken"][0]["position"] is None
    assert "do not hash to the signed root" in report["broken"][0]["reason"]

    for arguments in ((foreign,), (tmp_path / "missing",), (sound, "--log-key", "zz"), (sound, "--log-key", "ab")):
        result = command(*arguments)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
        assert result.stderr


def test_the_command_says_which_releases_no_guarantee_covers(tmp_path: Path) -> None:
    exported = tmp_path / "jobs"
    exported.write_bytes(honest_log.bundle(HONEST_JOBS))
    result = command(exported)
    assert result.returncode == 0, result.stdout
    assert "- The guarantee of population «patients» excludes 2 releases of analysis outputs.\n" in result.stdout
    assert "- No guarantee covers the set of files «scans»; releases of analysis outputs from it: 2.\n" in result.stdout


def test_an_auditor_needs_neither_torch_nor_syft_nor_a_database(tmp_path: Path) -> None:
    """All of it: the site's card, witnesses' cards and raw keys, an earlier checkpoint, on a log and on a receipt."""
    files = {name: tmp_path / name for name in ("log", "receipt", "site", "bern", "earlier")}
    site, bern = (it.card for it in CARDS if it.card is not None)
    whole = honest_log.bundle(HONEST_WITH_SUM)
    for name, content in zip(
        files, (whole, receipt().canonical(), site.canonical(), bern.canonical(), honest_log.note(HONEST)), strict=True
    ):
        files[name].write_bytes(content)
    common = ["--card", str(files["site"]), "--witness", str(files["bern"]), "--witness", "ab" * 32, "--json"]
    program = (
        "import sys, runpy\n"
        "try: runpy.run_module('policies.log', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'syft', 'sqlalchemy', 'opacus', 'numpy', 'pandas', 'datasites'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    for arguments in (["log", "--checkpoint", str(files["earlier"])], ["receipt"]):
        words = [str(files[arguments[0]]), *arguments[1:], *common]
        result = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        report = json.loads(result.stdout)
        assert report["broken"] == []
        assert not any("is this site's" in sentence for sentence in report["not_proved"])
