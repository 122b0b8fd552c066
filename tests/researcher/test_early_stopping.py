"""Early stopping: on what was released, after the patience that was asked for, at every site, and for good."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasites.protocol.identity import Identity
from datasites.protocol.messages import Message, StudyClose
from policies.errors import InvalidInputError
from policies.sums import OpenedSum, SignedSum, Summand, sign_sum
from policies.terms import Terms
from researcher import study as study_module
from researcher.correspondence import Correspondence
from researcher.curves import ScoreCurve
from researcher.estimates import Estimate
from researcher.export import ExportedPlan, export
from researcher.round_record import RoundRecord
from researcher.state import State
from researcher.stopping import EarlyStopping, check_early_stopping, stopped_early
from researcher.study import Study, open_study
from researcher.submission import keep_study
from tests.one_study import make_terms
from tests.record_forms import columns
from tests.researcher.plans import LogisticRegression

PATIENT = EarlyStopping(figure="accuracy", patience=2, least_improvement=0.02)
EVERY = {"models": [0, 1, 2, 3, 4, 5], "metrics": ["accuracy", "brier"]}
"""Six training rounds, each of which measures the model that it starts from, and none after them."""


def terms(parties: list[str], **evaluation: Any) -> Terms:
    changes = {"training": {"rounds": 6}, "evaluation": {**EVERY, **evaluation}}
    return make_terms("1" * 32, "e" * 64, parties, 2_000_000_000, changes)


TERMS = terms([f"{number:064x}" for number in range(3)], histograms=[{"name": "ill", "bins": 2}])


def record(number: int, accuracy: float | None, curve: ScoreCurve | None = None) -> RoundRecord:
    if accuracy is None:
        return RoundRecord(number, None, None, 0.5, 0.25)
    curves = {} if curve is None else {"ill": curve}
    return RoundRecord(number, {"accuracy": Estimate(value=accuracy, noise=0.01)}, curves, 0.5, 0.25)


def told(*accuracies: float | None) -> str | None:
    return stopped_early(PATIENT, TERMS, [record(number, it) for number, it in enumerate(accuracies, 1)])


@pytest.mark.parametrize(
    "accuracies",
    [
        (),
        (0.5,),
        (0.5, 0.4),
        (0.5, 0.6, 0.6, 0.63, 0.63),  # 0.6 → 0.63 is more than 0.02
        (0.9, 0.5, 0.95, 0.5),
        (0.5, None, None, None, 0.4),  # what was not measured is no measurement
        (0.5, 0.6, 0.7, 0.8, 0.8, 0.8),  # patience runs out in the last round: nothing is left to stop
    ],
)
def test_it_goes_on_while_there_is_patience_or_improvement(accuracies: tuple[float | None, ...]) -> None:
    assert told(*accuracies) is None


@pytest.mark.parametrize(
    ("accuracies", "after"),
    [
        ((0.5, 0.4, 0.4), 3),
        ((0.5, 0.51, 0.52), 3),  # neither is more than 0.02 above the best
        ((0.5, 0.6, 0.61, None, 0.62), 5),
        ((0.5, 0.4, 0.4, 0.99, 0.99), 3),  # the decision stands, whatever came later
    ],
)
def test_it_stops_after_the_round_in_which_patience_ran_out(accuracies: tuple[float | None, ...], after: int) -> None:
    sentence = told(*accuracies)
    assert sentence is not None
    assert f"after round {after} of 6" in sentence
    assert "±" in sentence


def test_a_scores_area_can_be_followed_and_one_lost_in_noise_is_no_improvement() -> None:
    rule = PATIENT.model_copy(update={"figure": "ill"})
    poor, good = (ScoreCurve(negatives=(50.0, wrong), positives=(wrong, 50.0), noise=1.0) for wrong in (20.0, 2.0))
    lost = poor.model_copy(update={"noise": 90.0})
    history = [record(number, 0.5, curve) for number, curve in enumerate((poor, good, lost, lost), 1)]
    assert stopped_early(rule, TERMS, history[:3]) is None
    sentence = stopped_early(rule, TERMS, history)
    assert sentence is not None
    assert str(good.auroc) in sentence
    never = [record(number, 0.5, lost) for number in (1, 2)]
    assert "never told apart" in (stopped_early(rule, TERMS, never) or "")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"figure": "recall"}, "accuracy, brier, ill and not 'recall'"),
        ({"patience": 5}, "never runs out"),
        ({"patience": 4}, None),
        ({"figure": "ill"}, None),
    ],
)
def test_a_rule_that_could_not_be_followed_is_refused_at_submission(rule: dict[str, Any], text: str | None) -> None:
    asked = PATIENT.model_copy(update=rule)
    if text is None:
        check_early_stopping(asked, TERMS)
        return
    with pytest.raises(InvalidInputError, match=text):
        check_early_stopping(asked, TERMS)


@dataclass
class Scene:
    """A study in a state file of its own; rounds give prepared records, and what is sent to the sites is kept."""

    folder: Path
    terms: Terms
    identity: Identity
    sent: list[Message] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)

    def study(self) -> Study:
        """The study as a new kernel opens it."""
        state = State(self.folder / "state.sqlite")
        return open_study(Correspondence(self.identity, state, None), self.terms.study, LogisticRegression())

    def hear(self, status: str) -> None:
        """Every site says that the study is so."""
        with State(self.folder / "state.sqlite").transaction() as connection:
            for member in self.terms.cohort:
                row = (self.terms.study, member.site, status, "It is so.")
                connection.execute(
                    "INSERT OR REPLACE INTO statuses (study, site, status, detail) VALUES (?, ?, ?, ?)", row
                )

    def closes(self) -> list[str]:
        return [it.reason for it in self.sent if isinstance(it, StudyClose)]


@pytest.fixture(scope="module")
def exported() -> ExportedPlan:
    return export(LogisticRegression(), columns(5, "int64", 2))


@pytest.fixture
def scene(exported: ExportedPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Three sites; the model's accuracy is 0.5, 0.6, 0.61, 0.6 and then would be 0.99."""
    identity = Identity.create(tmp_path / "ada", "ada", "researcher")
    cards = [
        Identity.create(tmp_path / name, name, "datasite", bytes(range(start, start + 32))).card
        for start, name in enumerate(("anna", "bern", "cork"))
    ]
    made = Scene(tmp_path, terms([card.party for card in cards]), identity)
    state = State(tmp_path / "state.sqlite")
    for card in cards:
        state.pin(card)
    keep_study(state, made.terms, exported, PATIENT, None)

    class Opener:
        def __init__(self, *_: object) -> None: ...

        def open(self, number: int, model: Any) -> tuple[Any, RoundRecord, SignedSum]:
            made.opened.append(number)
            summand = Summand(site=cards[0].party, vector_digest="0" * 64, signature="0" * 128)
            opened = OpenedSum(
                version="cloister-sum/1",
                request=made.terms.digest(),
                round=number,
                round_context="0" * 64,
                summands=(summand, summand),
                total="0" * 64,
            )
            accuracy = (0.5, 0.6, 0.61, 0.6, 0.99, 0.99)[number - 1]
            return model + np.float32(1), record(number, accuracy), sign_sum(identity.signing, opened)

    def send(_self: object, _parties: object, message: Message, _seconds: float) -> None:
        made.sent.append(message)

    monkeypatch.setattr(study_module, "RoundOpener", Opener)
    monkeypatch.setattr(study_module, "set_up_run", lambda *_: ([], "a" * 32))
    monkeypatch.setattr(Correspondence, "send", send)
    monkeypatch.setattr(Correspondence, "discard", lambda *_: None)
    monkeypatch.setattr(Correspondence, "listen", lambda *_: None)
    return made


def test_the_study_stops_is_closed_at_every_site_and_says_so(scene: Scene) -> None:
    study = scene.study()
    assert [it.round for it in study.rounds()] == scene.opened == [1, 2, 3, 4]
    (reason,) = scene.closes()
    assert study.stopped_early == reason == study.result().stopped_early
    assert reason.startswith("Stopped early after round 4 of 6: accuracy")
    assert "0.600 ± 0.010, of the model after round 1" in reason
    assert "Stopped early after round 4 of 6" in study.result().card()


def test_a_study_without_a_rule_runs_to_its_end(scene: Scene) -> None:
    with State(scene.folder / "state.sqlite").transaction() as connection:
        connection.execute("DELETE FROM stopping_rules")
    study = scene.study()
    assert [it.round for it in study.rounds()] == [1, 2, 3, 4, 5, 6]
    assert (scene.closes(), study.stopped_early) == ([], None)


def test_a_new_kernel_neither_runs_on_nor_forgets_to_close(scene: Scene) -> None:
    """The kernel ends after the last round, before any site was told."""
    rounds = scene.study().rounds()
    assert [next(rounds).round for _ in range(4)] == [1, 2, 3, 4]
    assert scene.closes() == []
    scene.hear("running")
    again = scene.study()
    assert [it.round for it in again.run().history] == [1, 2, 3, 4]
    assert len(scene.closes()) == 1
    scene.hear("closed")
    assert "Stopped early" in (scene.study().run().stopped_early or "")
    assert len(scene.closes()) == 1, "every site has said that it is closed"
    assert scene.opened == [1, 2, 3, 4]


def test_a_new_kernel_counts_the_patience_that_was_used_up_before(scene: Scene) -> None:
    rounds = scene.study().rounds()
    assert [next(rounds).round for _ in range(3)] == [1, 2, 3]
    assert [it.round for it in scene.study().rounds()] == [4]
    assert json.loads(scene.study()._row()["history"])[-1]["round"] == 4
