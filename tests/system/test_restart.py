"""A datasite killed with -9, between rounds and in the middle of one: nothing is answered twice, and the log holds."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from policies.errors import RefusedError
from researcher import Study
from tests.system.federation import LiveFederation, LiveSite, cancel
from tests.system.waiting import SECONDS, eventually, wait_until_gone


def test_a_site_killed_between_rounds_goes_on_where_it_was(live: LiveFederation) -> None:
    study = live.approved_study()
    rounds = study.rounds()
    assert next(rounds).round == 1
    cork = live.sites["cork-hospital"]
    trainer = cork.trainer()
    cork.kill()
    wait_until_gone(trainer)
    cork.serve()

    assert [record.round for record in rounds] == [2, 3]
    assert study.result().metrics.keys() == {0, 2}
    for site in live.sites.values():
        eventually(lambda site=site: _status(site, study) == "done", f"the study's end at {site.name}")
        assert not site.audit().broken
        assert _released(site, study) == [1, 2, 3]
        assert site.training()["reserved"] == 0


def test_a_site_killed_in_the_middle_of_a_round_burns_its_charge_and_never_answers(live: LiveFederation) -> None:
    study = live.approved_study()
    bern = live.sites["bern-hospital"]
    spent_before = bern.training()["spent"]
    rounds = study.rounds()
    assert next(rounds).round == 1
    spent_in_round_1 = bern.training()["spent"] - spent_before
    assert spent_in_round_1 > 0

    trainer = bern.trainer()
    os.kill(trainer, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        second_round = thread.submit(next, rounds)
        eventually(lambda: bern.round_state(study, 2) == "charged", "the second round's charge at bern")
        bern.kill()
        os.kill(trainer, signal.SIGCONT)
        wait_until_gone(trainer)
        bern.serve()
        with pytest.raises(RefusedError, match="bern-hospital refused round 2: The site stopped in the middle"):
            second_round.result(SECONDS)

    assert (_status(bern, study), bern.round_state(study, 2)) == ("failed", "burned")
    burned = bern.training()
    assert burned["spent"] - spent_before == pytest.approx(2 * spent_in_round_1)
    assert burned["reserved"] == 0
    with pytest.raises(RefusedError, match="bern-hospital"):
        study.run()
    assert _released(bern, study) == [1]
    assert bern.training() == burned, "asking again must cost nothing"
    report = bern.audit()
    assert not report.broken
    assert report.proved

    cancel(study, live.sites.values())
    for site in live.sites.values():
        assert site.training()["reserved"] == 0
        assert not site.audit().broken


def _status(site: LiveSite, study: Study) -> str:
    (row,) = site.rows("SELECT status FROM requests WHERE study = ?", study.identifier)
    return str(row["status"])


def _released(site: LiveSite, study: Study) -> list[int]:
    """The rounds of which the site's log says that an answer left it, in order."""
    marks = ('"kind":"update-released"', f'"request":"{study.terms.digest()}"')
    entries = [bytes(row["entry"]).decode() for row in site.rows("SELECT entry FROM log_entries ORDER BY position")]
    return [int(it.split('"round":')[1].split(",")[0].rstrip("}")) for it in entries if all(one in it for one in marks)]
