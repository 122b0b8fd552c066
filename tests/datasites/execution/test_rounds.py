"""A study's rounds at one site: the sum opens with the partners', and what is released is what was charged."""

import numpy as np
import pytest

from datasites.execution.answer_round import answer_round
from datasites.execution.interrupted_rounds import burn_round, take_up_interrupted_rounds
from datasites.execution.trainer_result import RoundResult
from datasites.protocol.content import unwrap
from datasites.protocol.messages import MaskedUpdateMessage, Roster, StudyClose
from datasites.requests.records import Request, Status
from datasites.requests.withdraw import withdraw
from datasites.secure_averaging.advertisement import roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.layout import vector_length
from policies.errors import CloisterError, RefusedError
from policies.log.budget_entries import ChargeMade
from policies.log.entries import RoundComputed, UpdateReleased
from policies.log.journal import entries
from policies.statements.digests import digest
from tests.one_site import Scene
from tests.one_study import PARAMETERS, RUN, model
from tests.whole_vectors import MaskedUpdate, mask_update, open_sum, opened, vector_digest


def nothing_at_the_relay(_reference: object) -> list[bytes]:
    raise AssertionError("so small an update rides in its letter")


def masked(_scene: Scene, message: MaskedUpdateMessage, size: int) -> MaskedUpdate:
    vector = b"".join(unwrap(message.update, size, nothing_at_the_relay))
    return MaskedUpdate(
        bytes.fromhex(message.round_context), vector, vector_digest(vector), bytes.fromhex(message.signature)
    )


def partners_updates(scene: Scene, request: Request, roster: Roster, number: int, context: bytes) -> dict:
    """What two honest partners send who trained to minus an eighth, and counted 30 of 40."""
    terms = request.terms
    update = np.full(PARAMETERS, -0.125, np.float32) if terms.trains_in(number) else None
    metrics = np.array([30.0, 10.0]) if terms.evaluates_in(number) else None
    return {
        it.party: mask_update(
            terms,
            number,
            update,
            metrics,
            scene.mask_keys[it.party][number - 1],
            list(roster.advertisements),
            it.party,
            context,
            it.signing,
        )
        for it in scene.partners
    }


def test_every_rounds_sum_opens_with_the_partners(scene: Scene) -> None:
    request = scene.approved()
    roster = scene.set_up(request)
    terms = request.terms
    pinned = {it.party: bytes.fromhex(it.card.signing_key) for it in (scene.site.identity, *scene.partners)}
    for number in range(1, terms.sums + 1):
        message = scene.compute(request, number)
        setup = setup_context(terms.digest(), RUN, roster_digest(roster.advertisements))
        context = round_context(setup, number, digest("global-model", model()))
        assert message.round_context == context.hex()
        own = masked(scene, message, 4 * vector_length(terms, number))
        assert message.vector_digest == own.vector_digest
        everybody = {scene.site.identity.party: own, **partners_updates(scene, request, roster, number, context)}
        whole = opened(terms, number, open_sum(everybody, terms, number, context, pinned))
        if terms.trains_in(number):
            np.testing.assert_allclose(whole.update, np.full(PARAMETERS, (0.25 - 2 * 0.125) / 3), atol=1e-4)
        assert (whole.metrics is None) == (not terms.evaluates_in(number))
        if whole.metrics is not None:
            np.testing.assert_allclose(whole.metrics, [80.0, 25.0], rtol=0.05)
    assert scene.request(request.digest).status is Status.DONE


def test_each_round_charges_what_its_terms_say_and_is_logged(scene: Scene) -> None:
    request = scene.ready()
    for number in range(1, request.terms.sums + 1):
        scene.compute(request, number)
    with scene.site.engine.begin() as connection:
        found = [entry for _, entry in entries(connection)]
    charged = [(it.step, it.partition, it.mechanism.steps) for it in found if isinstance(it, ChargeMade)]
    assert charged == [
        ("round 1", "training", 2),
        ("round 1", "evaluation", 1),
        ("round 2", "training", 2),
        ("round 3", "training", 2),
        ("round 4", "evaluation", 1),
    ]
    assert [it.round for it in found if isinstance(it, RoundComputed)] == [1, 2, 3, 4]
    assert {it.layers for it in found if isinstance(it, RoundComputed)} == {("seccomp",)}
    commitments = [it.output_commitment for it in found if isinstance(it, UpdateReleased)]
    assert len(set(commitments)) == 4
    assert not {it.vector_digest for it in scene.updates()} & set(commitments)
    assert scene.audit().broken == []


@pytest.mark.both_databases
def test_the_private_half_of_a_rounds_mask_key_is_gone_from_the_disk_once_it_is_answered(scene: Scene) -> None:
    request = scene.ready()
    with scene.site.engine.begin() as connection:
        spent, *left = connection.exec_driver_sql("SELECT private_key FROM mask_keys ORDER BY round").scalars()
    scene.compute(request, 1)
    scene.site.engine.dispose()
    if scene.site.settings.database is None:
        stored = b"".join(path.read_bytes() for path in scene.site.home.folder.glob("datasite.sqlite*"))
    else:  # what the server keeps beside its tables stands in the threat model
        with scene.site.engine.begin() as connection:
            stored = b"".join(connection.exec_driver_sql("SELECT private_key FROM mask_keys").scalars())
    assert len(left) == 3
    assert all(key in stored for key in left)
    assert spent not in stored


@pytest.mark.parametrize(
    ("update", "metrics"),
    [
        (None, np.array([20.0, 5.0])),
        (np.zeros(PARAMETERS, np.float32), None),
        (np.zeros(PARAMETERS + 1, np.float32), np.array([20.0, 5.0])),
        (np.zeros(PARAMETERS, np.float32), np.array([20.0, 5.0, 1.0])),
        (np.full(PARAMETERS, np.nan, np.float32), np.array([20.0, 5.0])),
        (np.zeros(PARAMETERS, np.float32), np.array([np.inf, 5.0])),
    ],
)
def test_a_result_that_the_terms_do_not_let_out_stays(scene: Scene, update, metrics) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    blocks = iter(() if update is None else (update,))
    with pytest.raises(RefusedError):
        answer_round(scene.site, assignment, RoundResult(metrics, blocks, ("seccomp",)))
    assert scene.updates() == []


@pytest.mark.parametrize("ended_by", ["withdrawal", "a restart"])
def test_a_study_that_ended_while_its_round_was_computed_releases_nothing(scene: Scene, ended_by: str) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    with scene.site.engine.begin() as connection:
        if ended_by == "withdrawal":
            withdraw(
                connection,
                scene.researcher.party,
                StudyClose(study=request.terms.study, reason="no time"),
                scene.now,
            )
        else:
            take_up_interrupted_rounds(connection, scene.now)
    with pytest.raises(CloisterError):
        scene.answer(assignment)
    assert scene.updates() == []
    assert scene.audit().broken == []


def test_a_round_that_is_burned_after_a_withdrawal_leaves_the_study_withdrawn(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assert scene.charge() is not None
    with scene.site.engine.begin() as connection:
        message = StudyClose(study=request.terms.study, reason="no time")
        withdraw(connection, scene.researcher.party, message, scene.now)
        burn_round(connection, scene.request_in(connection, request), 1, "The trainer failed.", scene.now)
    assert scene.request(request.digest).status is Status.CLOSED
    assert scene.audit().broken == []


def test_rounds_of_two_studies_are_charged_in_the_order_they_were_asked(scene: Scene) -> None:
    studies = [scene.ready(letter * 32) for letter in "5319"]
    for request in studies:
        scene.ask(request, 1)
    charged = [scene.charge() for _ in studies]
    assert [it.request.digest for it in charged if it is not None] == [it.digest for it in studies]
