"""P6, answers that witnesses hold back: a researcher who cannot wait asks in every way, and gets nothing early."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from datasites.execution.answer_round import answer_round
from datasites.execution.ask_round import ask_round
from datasites.execution.trainer_result import RoundResult
from datasites.protocol.log_messages import WitnessReply
from datasites.protocol.messages import MaskedUpdateMessage, RoundStart, StudyClose
from datasites.requests.records import Request, Status
from datasites.requests.withdraw import withdraw
from datasites.secure_averaging.advertisement import create
from datasites.store.tables import rounds
from datasites.witnesses.begin import begin_anew
from policies.errors import ConflictError, NotAuthenticError, RefusedError
from policies.programs.digests import MODEL_DOMAIN
from policies.statements.canonical import canonical_bytes
from tests.fuzz.seeds import OWNER
from tests.one_site import NOW, Scene, new_scene
from tests.one_study import OTHER_RUN, PARAMETERS, RUN, STUDY, model, reference


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


@pytest.fixture
def held(scene: Scene) -> Request:
    """The first round is computed, and its witnesses were asked and have not answered."""
    request = scene.ready()
    assert scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    update = np.full(PARAMETERS, 0.25, np.float32)
    answer_round(scene.site, assignment, RoundResult(np.array([20.0, 5.0]), iter((update,)), ("seccomp",)))
    assert scene.updates() == []
    return request


def ask(scene: Scene, request: Request, number: int = 1, content: bytes = b"") -> bool:
    """As `Scene.ask`, but nobody witnesses anything."""
    message = RoundStart(study=request.terms.study, run=RUN, round=number, model=reference())
    content = content or model()
    with (
        scene.site.contents.saved((content,), MODEL_DOMAIN, len(content)) as file,
        scene.site.engine.begin() as connection,
    ):
        return ask_round(connection, scene.site, scene.researcher.party, message, file, scene.now)


def stored_answer(scene: Scene) -> str:
    with scene.site.engine.begin() as connection:
        return str(connection.execute(select(rounds.c.message)).scalar_one())


def test_asking_again_brings_nothing_forward_and_then_the_same_bytes(scene: Scene, held: Request) -> None:
    answer = stored_answer(scene)
    for _ in range(5):
        assert not ask(scene, held)
    with pytest.raises(ConflictError):
        ask(scene, held, content=model(1.0))
    with pytest.raises(RefusedError, match="no roster"):
        scene.ask(held, 1, run=OTHER_RUN)
    with pytest.raises(RefusedError, match="run"):
        scene.start(held, OTHER_RUN)
    assert scene.updates() == []
    assert scene.charge() is None
    scene.witness()
    assert [it.canonical().decode() for it in scene.updates()] == [answer]
    scene.send_all()
    assert not ask(scene, held)
    assert [it.canonical().decode() for it in scene.updates()] == [answer]
    assert scene.audit().broken == []


def test_the_next_round_may_be_asked_and_brings_the_held_answer_no_sooner(scene: Scene, held: Request) -> None:
    assert ask(scene, held, 2, model(0.5))
    assert scene.updates() == []
    assert stored_rounds(scene) == {1: "computed", 2: "asked"}


def test_neither_the_researcher_nor_one_witness_of_two_can_confirm(scene: Scene, held: Request) -> None:
    """Ada knows what a confirmation looks like: the relay, her friend, carries every question past her."""
    questions = scene.questions()
    (first, question), *others = questions.items()
    assert others
    reply = WitnessReply(nonce=question.nonce, checkpoint=question.checkpoint, balance=question.balance)
    for sender in (scene.researcher.party, scene.other_researcher.party, scene.site.identity.party):
        scene.hear(sender, reply)
        assert scene.updates() == []
    scene.hear(first, reply)
    for _ in range(3):
        scene.hear(first, reply)
    scene.hear(others[0][0], reply)  # with the first one's nonce
    assert scene.updates() == []
    second = others[0][1]
    scene.hear(others[0][0], WitnessReply(nonce=second.nonce, checkpoint=second.checkpoint, balance=second.balance))
    assert len(scene.updates()) == 1


def test_confirmations_of_an_earlier_log_release_nothing(scene: Scene) -> None:
    """The witnesses' answers to what they were asked before the round, kept by the relay until after it."""
    request = scene.ready()
    ask(scene, request)
    with scene.site.engine.begin() as connection:
        begin_anew(connection, scene.site, scene.now)
    early = {
        party: WitnessReply(nonce=it.nonce, checkpoint=it.checkpoint, balance=it.balance)
        for party, it in scene.questions().items()
    }
    for party, reply in early.items():
        scene.hear(party, reply)
    assignment = scene.charge()
    assert assignment is not None
    update = np.full(PARAMETERS, 0.25, np.float32)
    answer_round(scene.site, assignment, RoundResult(np.array([20.0, 5.0]), iter((update,)), ("seccomp",)))
    for party, reply in early.items():
        scene.hear(party, reply)
    assert scene.updates() == []


@pytest.mark.parametrize("ending", ["closed", "expired"])
def test_what_ends_while_its_answer_is_held_never_answers(scene: Scene, held: Request, ending: str) -> None:
    if ending == "closed":
        with scene.site.engine.begin() as connection:
            withdraw(connection, scene.researcher.party, StudyClose(study=STUDY, reason="Enough."), scene.now)
    else:
        scene.clock.seconds = NOW + 86_400
    scene.witness()
    with pytest.raises(RefusedError):
        ask(scene, held)
    assert scene.updates() == []
    if ending == "closed":
        assert scene.request(held.digest).status is Status.CLOSED
        with scene.site.engine.begin() as connection:
            assert connection.execute(select(rounds.c.message, rounds.c.update_file)).all() == [(None, None)]


def test_a_restart_forgets_what_was_confirmed_and_holds_the_answer_on(scene: Scene, held: Request) -> None:
    questions = scene.questions()
    (first, question), (second, late) = questions.items()
    scene.hear(first, WitnessReply(nonce=question.nonce, checkpoint=question.checkpoint, balance=question.balance))
    with scene.site.engine.begin() as connection:
        begin_anew(connection, scene.site, scene.now)
    scene.hear(second, WitnessReply(nonce=late.nonce, checkpoint=late.checkpoint, balance=late.balance))
    ask(scene, held)
    assert scene.updates() == []
    scene.witness()
    assert len(scene.updates()) == 1


def test_a_roster_exchanged_between_charge_and_answer_is_masked_for_nobody(scene: Scene) -> None:
    """Keys that somebody put into the database meanwhile: who holds their private halves would open the answer."""
    request = scene.approved()
    roster = scene.set_up(request)
    assert scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    entries = list(roster.advertisements)
    for place, partner in enumerate(scene.partners, start=1):
        entries[place], _ = create(OWNER, partner.party, request.digest, RUN, request.terms.sums)
    forged = canonical_bytes([entry.model_dump(mode="json") for entry in entries]).decode()
    scene.tamper("UPDATE runs SET roster = :roster", roster=forged)
    update = np.full(PARAMETERS, 0.25, np.float32)
    with pytest.raises(NotAuthenticError):
        answer_round(scene.site, assignment, RoundResult(np.array([20.0, 5.0]), iter((update,)), ("seccomp",)))
    assert stored_rounds(scene) == {1: "charged"}
    assert scene.letters(MaskedUpdateMessage) == []


def stored_rounds(scene: Scene) -> dict[int, str]:
    with scene.site.engine.begin() as connection:
        return dict(connection.execute(select(rounds.c.round, rounds.c.state)).tuples().all())
