"""A study that stops early, through the whole federation: closed everywhere, what is left returned, and provable."""

from pathlib import Path

import numpy as np
from torch import Tensor

from policies.log.check_any import check_any
from policies.log.verify import Pinned
from researcher import EarlyStopping, Privacy
from tests.demo.hospitals import UNITS
from tests.system.federation import LiveFederation
from tests.system.plans import METRIC, SmallPlan
from tests.system.waiting import SECONDS, eventually


class ScoredPlan(SmallPlan):
    """The small network, whose chances of a malignant tumour are counted."""

    def scores(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """The chance that it is malignant."""
        return {"malignant": (output.squeeze(-1).sigmoid(), target)}


def test_a_study_that_stops_early_is_closed_at_every_site(live: LiveFederation, tmp_path: Path) -> None:
    rule = EarlyStopping(figure=METRIC, patience=1, least_improvement=1.0)
    privacy = Privacy(epsilon=0.5, delta=1e-6)
    study = live.pending_study(ScoredPlan(), privacy=privacy, rounds=4, evaluate=(0, 1, 2, 3), early_stopping=rule)
    live.at_each_site(lambda site: site.approve(study))
    study.wait(SECONDS)
    spent = {name: site.training()["spent"] for name, site in live.sites.items()}

    result = study.run()
    assert [it.round for it in result.history] == [1, 2]
    assert (result.stopped_early or "").startswith("Stopped early after round 2 of 4")
    for name, site in live.sites.items():
        eventually(lambda site=site: site.training()["reserved"] == 0, f"the reservation's return at {name}")
        assert site.training()["spent"] > spent[name]
        assert not site.audit().broken
    again = study.run()
    assert (len(again.history), again.stopped_early) == (2, result.stopped_early)

    evaluation = study.terms.evaluation
    for curves in result.curves.values():
        counts = np.array([*curves["malignant"].negatives, *curves["malignant"].positives])
        spread = 5 * evaluation.noise_deviation * np.sqrt(len(UNITS) * counts.size)
        # A fifth of each hospital's patients, by a keyed hash: 91 ± 5 × 8.5 of 455.
        assert abs(counts.sum() - 91) < 43 + spread
    report = check_any(study.receipt(tmp_path / "receipt").read_bytes(), Pinned())
    assert not report.broken
    assert any("The model of 2 of 4 rounds came from exactly these 3 approvals" in it for it in report.proved)
