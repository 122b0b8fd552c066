"""Decisions at the researcher's desk: a study runs only where each approval came with its people's signatures."""

from pathlib import Path

import pytest

from datasites.protocol.messages import StudyStatus
from policies.errors import RefusedError
from tests.one_study import STUDY
from tests.researcher.desk import Desk


@pytest.mark.parametrize("status", ["approved", "running", "done"])
def test_a_site_that_calls_the_study_approved_without_a_signed_decision_is_not_believed(
    tmp_path: Path, status: str
) -> None:
    desk = Desk(tmp_path)
    for site in range(3):
        desk.says(StudyStatus(study=STUDY, status=status, detail="Approved by the owner."), site)
    with pytest.raises(RefusedError, match="anna sent no signed decision with its approval"):
        desk.study.wait(0)
    with pytest.raises(RefusedError, match="anna sent no signed decision"):
        desk.study.run()
