"""What breaks on the way and mends: a relay that dies, a site that vanishes, a round that is computed once more."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from policies.errors import UnavailableError
from researcher import Deadlines
from tests.system.federation import LiveFederation
from tests.system.waiting import SECONDS, eventually, wait_until_gone


def test_a_relay_that_dies_and_comes_back_holds_the_study_up_and_no_more(live: LiveFederation) -> None:
    study = live.approved_study()
    rounds = study.rounds()
    assert next(rounds).round == 1
    live.kill_relay()
    with ThreadPoolExecutor(1) as thread:
        second_round = thread.submit(next, rounds)
        with pytest.raises(TimeoutError):
            second_round.result(1)
        live.start_relay()
        assert second_round.result(SECONDS).round == 2
    assert [record.round for record in rounds] == [3]
    for site in live.sites.values():
        assert not site.audit().broken


def test_a_site_that_vanishes_is_named_at_the_deadline_and_the_round_resumes_with_it(live: LiveFederation) -> None:
    before = {name: site.training()["spent"] for name, site in live.sites.items()}
    study = live.approved_study(deadlines=Deadlines(setup_seconds=45, round_seconds=10))
    rounds = study.rounds()
    assert next(rounds).round == 1
    cork = live.sites["cork-hospital"]
    cork.kill()
    with pytest.raises(UnavailableError, match=r"cork-hospital did not answer round 2 within 10 s"):
        next(rounds)
    assert study.result().history[-1].round == 1
    spent = {name: site.training()["spent"] for name, site in live.sites.items()}

    cork.serve()
    eventually(lambda: cork.round_state(study, 2) == "computed", "cork's answer to the letter that waited for it")
    result = study.run()
    assert [record.round for record in result.history] == [1, 2, 3]
    anna, bern = live.sites["anna-hospital"], live.sites["bern-hospital"]
    for site in (anna, bern):
        one_round = spent[site.name] - before[site.name]
        assert one_round > 0, "the round that cork, their witness, could not confirm was not charged"
        whole = site.training()["spent"] - before[site.name]
        assert whole == pytest.approx(2 * one_round), "two rounds train, the third only evaluates"
        (count,) = site.rows("SELECT count(*) AS n FROM rounds JOIN requests ON request = digest WHERE study = ?",
                             study.identifier)  # fmt: skip
        assert count["n"] == 3
    for site in live.sites.values():
        assert not site.audit().broken


def test_a_round_interrupted_by_a_kill_is_computed_again_under_its_retry(live: LiveFederation) -> None:
    study = live.approved_study(retries=1)
    bern = live.sites["bern-hospital"]
    rounds = study.rounds()
    assert next(rounds).round == 1
    trainer = bern.trainer()
    os.kill(trainer, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        second_round = thread.submit(next, rounds)
        eventually(lambda: bern.round_state(study, 2) == "charged", "the second round's charge at bern")
        bern.kill()
        os.kill(trainer, signal.SIGCONT)
        wait_until_gone(trainer)
        bern.serve()
        assert second_round.result(SECONDS).round == 2
    assert [record.round for record in rounds] == [3]
    charged = bern.rows(
        "SELECT step, attempt FROM charges JOIN requests ON request = digest WHERE study = ? AND step = 'round 2'",
        study.identifier,
    )
    assert sorted(row["attempt"] for row in charged) == [1, 2]
    report = bern.audit()
    assert not report.broken
    assert bern.training()["reserved"] == 0


def test_two_services_never_share_a_datasite(live: LiveFederation) -> None:
    anna = live.sites["anna-hospital"]
    second = anna.site.serve()
    assert second.wait(SECONDS) == 5
    assert anna.pid
