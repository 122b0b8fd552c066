"""A hospital's disk put back to an earlier copy, in whole processes: noticed, told, recovered, and at work again."""

import shutil
from pathlib import Path

import pytest

from policies.errors import RefusedError
from tests.system.federation import LiveFederation, cancel
from tests.system.waiting import eventually

DONE = "SELECT 1 FROM requests WHERE study = ? AND status = 'done'"


def test_a_hospital_whose_disk_was_put_back_answers_nothing_until_its_owner_recovers_it(
    live: LiveFederation, tmp_path: Path
) -> None:
    study = live.approved_study()
    cork = live.sites["cork-hospital"]
    cork.stop()
    shutil.copytree(cork.home, tmp_path / "copy")
    cork.serve()
    rounds = study.rounds()
    assert next(rounds).round == 1
    truly_spent = cork.training()["spent"]

    cork.stop()
    shutil.rmtree(cork.home)
    shutil.copytree(tmp_path / "copy", cork.home)
    assert cork.training()["spent"] < truly_spent
    cork.serve()
    eventually(lambda: "set back to an earlier state" in cork.printed(), "the report of the set-back")
    with pytest.raises(RefusedError, match="cork-hospital refused round 2: This site's disk was set back"):
        next(rounds)
    assert [cork.round_state(study, number) for number in (1, 2)] == [None, None]
    assert cork.training()["spent"] < truly_spent

    done = cork.site.recover()
    assert done["ended"] == [cork.request_number(study)]
    assert done["written_off"].keys() == {row["id"] for row in cork.rows("SELECT id FROM populations")}
    assert done["forgotten"] == []
    budget = cork.training()
    assert budget["spent"] >= truly_spent
    assert budget["reserved"] == 0
    cancel(study, live.sites.values())

    again = live.approved_study()
    assert [record.round for record in again.rounds()] == [1, 2, 3]
    assert again.result().metrics.keys() == {0, 2}
    for site in live.sites.values():
        eventually(lambda site=site: site.rows(DONE, again.identifier), f"the study's end at {site.name}")
        assert not site.audit().broken
