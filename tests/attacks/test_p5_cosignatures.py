"""Attacks on P5: cosignatures that are forged, foreign, replayed or on another size, and logs with two histories."""

import pytest

from policies.errors import NotAuthenticError
from policies.log import entries as log
from policies.log.bundle import write_bundle
from policies.log.cosignature import Cosigner, checked_lines, cosign, cosigned_at
from policies.log.verify import Pinned, Report, verify_bundle
from policies.log.witness_entries import TwoHistories
from tests.attacks.honest_log import FACTS, HONEST, LOG, OWNER, PARTNER, RESEARCHER, STRANGER, note, verify

WITNESS = Cosigner("bern", PARTNER.public_key().public_bytes_raw())
LOG_KEY, OWNER_KEY = (it.public_key().public_bytes_raw() for it in (LOG, OWNER))
PARTY, AT = "ab" * 32, 1_700_000_000
FORK = [*HONEST[:3], log.MessageGap(at=12, sender=RESEARCHER, expected=1, got=2), *HONEST[3:]]


def cosigned(entries: list[log.LogEntry], at: int = AT) -> bytes:
    return cosign(PARTNER, PARTY, note(entries), at)


def check(
    *notes: bytes, entries: list[log.LogEntry] = HONEST, earlier: tuple[bytes, ...] = (), witness: Cosigner = WITNESS
) -> Report:
    data = write_bundle(FACTS, note(entries), [entry.canonical() for entry in entries], notes)
    return verify_bundle(data, Pinned(LOG_KEY, OWNER_KEY, earlier, (witness,)))


def test_what_a_witness_cosigned_is_told_with_size_and_time() -> None:
    report = check(cosigned(HONEST[:9], AT - 60), cosigned(HONEST[:12]))
    assert report.broken == []
    told = f"«bern» cosigned a checkpoint of 12 of these {len(HONEST)} entries on 2023-11-14 22:13 UTC"
    assert any(told in sentence for sentence in report.proved)
    assert not any("bern" in sentence for sentence in report.not_proved)


def test_without_its_cosignature_or_its_card_a_witness_proves_nothing() -> None:
    assert any("«bern» was shown this log: no cosignature" in sentence for sentence in check().not_proved)
    report = check(cosigned(HONEST), witness=Cosigner("cadiz", STRANGER.public_key().public_bytes_raw()))
    assert report.broken == []
    assert any("«cadiz» was shown this log: no cosignature" in sentence for sentence in report.not_proved)
    assert any("it holds 1 by others" in sentence for sentence in report.not_proved)
    assert not any("cosigned" in sentence for sentence in report.proved)


def test_a_forged_cosignature_breaks_the_bundle() -> None:
    honest = cosigned(HONEST[:12])
    line = honest.splitlines(keepends=True)[-1]
    for forged in (
        note(HONEST[:9]) + line,  # its cosignature on another size
        note(FORK[:12]) + line,  # on another history of the same size
        honest.replace(line, line[:-8] + b"AAAA" + line[-4:]),
    ):
        with pytest.raises(NotAuthenticError):
            cosigned_at(forged, WITNESS.key)
        assert check(forged).broken
        assert not any("«bern»" in sentence for sentence in check(forged).proved)


def test_whoever_hands_a_note_on_adds_no_line_in_anothers_name() -> None:
    """A researcher could break an honest site's bundle by a false line in a witness's name."""
    honest = cosigned(HONEST[:12])
    line = honest.splitlines(keepends=True)[-1]
    mine = cosign(STRANGER, "cd" * 32, note(HONEST[:12]) + line.replace(line[-20:-8], b"AAAAAAAAAAAA"), AT)
    stranger = STRANGER.public_key().public_bytes_raw()
    assert check(mine).broken
    kept = checked_lines(mine, LOG_KEY, stranger)
    assert cosigned_at(kept, stranger) == AT
    assert check(kept).broken == []


def test_a_site_cannot_cosign_in_its_witness_name() -> None:
    """The name on a line is not signed: only the key counts."""
    report = check(cosign(LOG, PARTY, note(HONEST), AT), cosign(STRANGER, PARTY, note(HONEST), AT))
    assert report.broken == []
    assert not any("«bern»" in sentence for sentence in report.proved)


def test_a_cosignature_on_a_checkpoint_that_the_log_did_not_sign_counts_for_nothing() -> None:
    assert check(cosign(PARTNER, PARTY, note(HONEST, STRANGER), AT)).broken


def test_an_old_cosignature_says_how_old_it_is_and_hides_no_tail() -> None:
    """Replayed under a log that was cut back, it shows the cut; under the whole log, it shows its small size."""
    old, newer = cosigned(HONEST[:4]), cosigned(HONEST[:12])
    assert any("of 4 of these" in sentence for sentence in check(old).proved)
    assert any("cut back" in it.reason for it in check(newer, entries=HONEST[:9]).broken)


def test_a_site_that_shows_its_auditor_another_history_than_its_witness_is_found_out_by_both_notes() -> None:
    kept = cosigned(FORK[:12])
    report = check(cosigned(HONEST[:12]), earlier=(kept,))
    (found,) = report.broken
    for part in ("Earlier checkpoint 1", "two were shown", "log key signed both", "12 entries", "«bern» cosigned"):
        assert part in found.reason
    longer = check(earlier=(cosigned([*FORK, *FORK[-1:]]),))
    assert "two histories were shown" in longer.broken[0].reason


def test_a_bundle_with_cosigned_checkpoints_of_two_histories_is_broken() -> None:
    assert any("Cosigned checkpoint 2" in it.reason for it in check(cosigned(HONEST[:12]), cosigned(FORK[:13])).broken)


def evidence(first: bytes, second: bytes, key: bytes = LOG_KEY) -> TwoHistories:
    return TwoHistories(at=400, site=FACTS.site, log_key=key.hex(), first=first.decode(), second=second.decode())


def test_evidence_of_two_histories_in_a_log_proves_itself() -> None:
    report = verify([*HONEST, evidence(note(HONEST[:12]), note(FORK[:12]))])
    assert report.broken == []
    assert any("has two histories" in sentence for sentence in report.not_proved)


@pytest.mark.parametrize(
    ("accusation", "reason"),
    [
        (evidence(note(HONEST[:12]), note(FORK[:13])), "do not show two histories"),
        (evidence(note(HONEST[:12]), note(HONEST[:12])), "do not show two histories"),
        (evidence(note(HONEST[:12]), note(FORK[:12], STRANGER)), "0 signatures"),
    ],
)
def test_evidence_that_proves_nothing_breaks_the_log_that_holds_it(accusation: TwoHistories, reason: str) -> None:
    (found,) = verify([*HONEST, accusation]).broken
    assert (found.position, reason in found.reason) == (len(HONEST), True)
