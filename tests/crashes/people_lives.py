"""Lives of what people say at one datasite: roles, house rules, approvals by two or by the rules, questions."""

from typing import Any

from datasites.protocol.question_messages import RequestAnswer, RequestQuestion
from datasites.requests.ask import ask
from datasites.requests.decide import approve
from datasites.requests.questions import Asked, questions_on
from datasites.requests.records import Request, Status, find_study
from datasites.requests.review import study_approvals
from policies.log.entries import DecisionTaken
from policies.log.people_entries import PersonAppointed, PersonDismissed
from policies.log.question_entries import QuestionAnswered, QuestionAsked
from policies.log.rules_entries import ApprovedByRules, RulesAdopted
from policies.log.superseded_entries import RequestSuperseded
from tests.attacks.ruled_site import SMALL, automatic
from tests.crashes.lives import (
    APPROVED,
    CHECKED,
    ONE_ROUND,
    SUBMITTED,
    Life,
    Step,
    letter,
    logged,
    request_of,
    submission,
    unless,
)
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY
from tests.site_people import Holder, ask_for, fire, hire

BEA = Holder("Bea")
CHEAP: dict[str, Any] = {part: {**ONE_ROUND[part], **SMALL[part]} for part in ONE_ROUND}
"""Two such studies find room in the budget."""


def other_request(scene: Scene) -> Request:
    """The life's second study."""
    with scene.site.engine.begin() as connection:
        found = find_study(connection, scene.researcher.party, OTHER_STUDY)
    assert found is not None
    return found


def _approved_by_bea(scene: Scene) -> bool:
    request = request_of(scene)
    with scene.site.engine.begin() as connection:
        return "Bea" in study_approvals(connection, scene.site, request).by


def _approve_as_bea(scene: Scene) -> None:
    digest = scene.shown_digest(request_of(scene))
    with scene.site.engine.begin() as connection:
        approve(connection, scene.site, digest, BEA.key)


def _questions(scene: Scene) -> list[Asked]:
    request = request_of(scene)
    with scene.site.engine.begin() as connection:
        return questions_on(connection, request.digest)


def _ask(scene: Scene) -> None:
    number = request_of(scene).number
    with scene.site.engine.begin() as connection:
        ask(connection, scene.site, number, "Why six columns?", scene.owner_key)


HIRED = Step("appoint", unless(lambda scene: scene.count("people") > 0, lambda scene: hire(scene, BEA)))
FIRED = Step("dismiss", unless(lambda scene: bool(logged(scene, PersonDismissed)), lambda scene: fire(scene, BEA)))
TWO_ARE_ASKED_FOR = Step(
    "adopt", unless(lambda scene: scene.rules().rules.approvals.studies == 2, lambda scene: ask_for(scene, studies=2))
)
AUTOMATIC = Step("adopt", unless(lambda scene: scene.rules().rules.auto_approval is not None, automatic))
FIRST = Step("first signature", unless(_approved_by_bea, _approve_as_bea))
ASKED = Step("ask", unless(lambda scene: bool(_questions(scene)), _ask))
ANSWERED = letter(
    "answer", lambda scene: RequestAnswer(request=request_of(scene).digest, number=1, answer="They are routine.")
)
CHEAP_SUBMITTED = letter("cheap", lambda scene: submission(scene, **CHEAP))
ONE_MORE = letter("one more", lambda scene: submission(scene, OTHER_STUDY, **CHEAP))
NEWER = letter("newer", lambda scene: submission(scene, OTHER_STUDY, supersedes=request_of(scene).digest, **ONE_ROUND))


def _people_came_and_went(scene: Scene) -> None:
    assert len(logged(scene, PersonAppointed)) == len(logged(scene, PersonDismissed)) == scene.count("people") == 1


def _rules_adopted(scene: Scene) -> None:
    assert (len(logged(scene, RulesAdopted)), scene.rules().rules.approvals.studies) == (2, 2)


def _two_approved(scene: Scene) -> None:
    request = request_of(scene)
    assert (request.status, len(logged(scene, RulesAdopted))) == (Status.APPROVED, 2)
    assert request.detail == "Approved by Bea and the owner."
    assert (len(logged(scene, DecisionTaken)), scene.count("approvals"), scene.count("reservations")) == (2, 0, 1)


def _rules_approved(scene: Scene) -> None:
    assert other_request(scene).status is Status.APPROVED
    assert (len(logged(scene, ApprovedByRules)), len(logged(scene, DecisionTaken))) == (1, 1)
    assert scene.count("reservations") == 2


def _answered(scene: Scene) -> None:
    assert [it.answer for it in _questions(scene)] == ["They are routine."]
    counts = len(logged(scene, QuestionAsked)), len(logged(scene, QuestionAnswered))
    assert (*counts, len(scene.letters(RequestQuestion))) == (1, 1, 1)


def _superseded(scene: Scene) -> None:
    assert (request_of(scene).status, other_request(scene).status) == (Status.SUPERSEDED, Status.RECEIVED)
    assert len(logged(scene, RequestSuperseded)) == 1
    assert scene.balance().training.reserved_units == 0


PEOPLE_LIVES = (
    Life("people", (HIRED, FIRED), _people_came_and_went),
    Life(
        "two approve",
        (TWO_ARE_ASKED_FOR, HIRED, SUBMITTED, CHECKED, FIRST, APPROVED),
        _two_approved,
        4,
    ),
    Life(
        "rules approve",
        (AUTOMATIC, CHEAP_SUBMITTED, CHECKED, APPROVED, ONE_MORE, CHECKED),
        _rules_approved,
        5,
    ),
    Life("rules adopted", (TWO_ARE_ASKED_FOR,), _rules_adopted),
    Life("answered", (SUBMITTED, CHECKED, ASKED, ANSWERED), _answered, 2),
    Life("superseded", (SUBMITTED, CHECKED, APPROVED, NEWER), _superseded, 3),
)
