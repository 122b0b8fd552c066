"""Decisions at the command line: a request that forges our words, other keys and digests, too large, too late."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from researcher import Privacy, Study
from researcher.export import ExportedPlan
from researcher.submission import draft_terms
from tests.demo.commands import CommandFailedError, datasite
from tests.system.federation import LiveFederation, ask, cancel, wait_for_status
from tests.system.plans import SmallPlan
from tests.system.typed_commands import CURSOR, MARKUP, typed
from tests.system.waiting import content

ANNA = "anna-hospital"
FORGED = "To approve exactly this:  datasite approve " + 8 * "deadbeef"


class ForgingPlan(SmallPlan):
    """Its source tries to print a line of ours.

    To approve exactly this:  datasite approve deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef
    """  # [bold green]✓ approved[/]


@pytest.fixture(scope="module")
def waiting(live: LiveFederation) -> Iterator[Study]:
    """A study that waits at all three sites, written to deceive."""
    privacy = Privacy(epsilon=2.0, delta=1e-6)
    study = live.pending_study(ForgingPlan(), title=MARKUP, purpose=f"Care.\n{FORGED}\n{MARKUP}", privacy=privacy)
    yield study
    cancel(study, live.sites.values())


def written(live: LiveFederation) -> Any:
    """What anna's site keeps of requests and decisions, and its budget."""
    anna = live.sites[ANNA]
    return content(anna.database, "requests", "reservations", "charges"), anna.site.budget()


def test_a_request_cannot_print_a_line_of_ours(live: LiveFederation, waiting: Study) -> None:
    anna = live.sites[ANNA]
    number = str(anna.request_number(waiting))
    plain = typed("show", number, "--home", anna.home).stdout
    assert plain.count("deadbeef") > 8, "the reviewer sees the attempts"
    lines = [line for line in plain.splitlines() if line.startswith(("To approve", "✓", "datasite"))]
    assert lines == [f"To approve exactly this:  datasite approve {anna.show(waiting)['approval_digest']}"]
    for words in (("show", number), ("requests",)):
        coloured = typed(*words, "--home", anna.home, FORCE_COLOR="1", COLUMNS="300")
        assert MARKUP in re.sub(r"\x1b\[[0-9;]*m", "", coloured.stdout)
        assert not CURSOR.search(coloured.stdout)


def test_only_the_owner_of_the_site_approves_and_only_what_show_showed(live: LiveFederation, waiting: Study) -> None:
    own, other = live.sites[ANNA].site.folder, live.sites["bern-hospital"].site.folder
    shown, of_bern = (live.sites[it].show(waiting)["approval_digest"] for it in (ANNA, "bern-hospital"))
    wrong, shared = own / "wrong", own / "shared"
    for file, text, mode in ((wrong, "a guess", 0o600), (shared, (own / "passphrase").read_text(), 0o640)):
        file.write_text(text)
        file.chmod(mode)
    tries = [
        (shown, own, wrong, 4, "The passphrase does not open "),
        (shown, other, other / "passphrase", 4, "This key is neither the owner's nor one that the owner appointed"),
        (of_bern, own, own / "passphrase", 3, f"No pending request has the digest {of_bern[:16]}… as things stand"),
        (shown[:-1] + "g", own, own / "passphrase", 3, f"No pending request has the digest {shown[:16]}… as things"),
        (shown, own, shared, 3, f"{shared} is open to other accounts (mode 0640); run chmod 600 on it"),
    ]
    before = written(live)
    for digest, owner, passphrase, code, sentence in tries:
        refused_approval(live, digest, owner, passphrase, code, sentence)
    assert written(live) == before
    live.sites[ANNA].site.approve(shown)
    assert live.sites[ANNA].training()["reserved"] > 0.01


def test_what_does_not_fit_the_budget_or_came_too_late_is_not_approved(
    live: LiveFederation, waiting: Study, exported: ExportedPlan
) -> None:
    anna = live.sites[ANNA]
    if anna.training()["reserved"] == 0:
        anna.approve(waiting)

    def submit(**wishes: Any) -> Study:
        drafted = draft_terms(live.ada.identity.party, exported, live.data_sets, ask(**wishes))
        return live.submit_to(ANNA, drafted, exported)

    late, large = submit(valid_days=2 / 86_400), submit(privacy=Privacy(epsilon=10.0, delta=1e-6))
    wait_for_status(large, [ANNA], "pending")
    wait_for_status(late, [ANNA], "expired")
    before, own = written(live), anna.site.folder
    for study, sentence in (
        (
            large,
            f"Request {anna.request_number(large)} cannot be approved: This request does not fit the privacy budget",
        ),
        (late, "No pending request has the digest "),
    ):
        refused_approval(live, anna.show(study)["approval_digest"], own, own / "passphrase", 3, sentence)
    assert written(live) == before
    large.cancel("The test is over.")


def refused_approval(live: LiveFederation, digest: str, owner: Path, passphrase: Path, code: int, start: str) -> None:
    """Try to approve at anna's site, and be refused."""
    with pytest.raises(CommandFailedError) as caught:
        datasite("approve", digest, "--home", live.sites[ANNA].home, "--key-folder", owner / "owner",
                 "--passphrase-file", passphrase)  # fmt: skip
    assert caught.value.code == code
    assert caught.value.sentence.startswith(start)
