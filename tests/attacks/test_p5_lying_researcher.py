"""Attacks on P5: a researcher signs a sum that leaves a site out, counts it twice, or differs from its word before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datasites.protocol.messages import MaskedUpdateMessage
from datasites.requests.records import Request
from policies.errors import NotAuthenticError, RefusedError
from policies.log import entries as log
from policies.log.journal import entries
from policies.log.witness_entries import SumDisputed, SumOpened
from policies.masked_vector import sign_vector
from policies.sums import Summand, sign_sum
from tests.attacks.opened_sum import opened_sum, summands, tell
from tests.one_site import Scene, new_scene


@pytest.fixture
def answered(tmp_path: Path, database: str) -> tuple[Scene, Request, MaskedUpdateMessage]:
    scene = new_scene(tmp_path, database)
    request = scene.ready()
    return scene, request, scene.compute(request, 1)


def logged(scene: Scene, *kinds: type[log.LogEntry]) -> list[log.LogEntry]:
    with scene.site.engine.begin() as connection:
        return [entry for _, entry in entries(connection) if isinstance(entry, kinds)]


def test_an_honest_word_is_logged_once_and_the_log_is_sound(
    answered: tuple[Scene, Request, MaskedUpdateMessage],
) -> None:
    scene, request, answer = answered
    signed = opened_sum(scene, request, answer)
    assert tell(scene, signed)
    assert not tell(scene, signed), "sent again after a crash"
    assert [type(it) for it in logged(scene, SumOpened, SumDisputed)] == [SumOpened]
    assert scene.audit().broken == []


def forged_own(scene: Scene, answer: MaskedUpdateMessage) -> Summand:
    """The site's own name, with a vector that it never sent."""
    own = summands(scene, answer)[0]
    return own.model_copy(update={"vector_digest": "99" * 32})


def partners_copy(scene: Scene, answer: MaskedUpdateMessage) -> Summand:
    """A colluding partner signs this site's vector as its own: counted twice."""
    partner = scene.partners[0]
    signature = sign_vector(partner.signing, partner.party, bytes.fromhex(answer.round_context), answer.vector_digest)
    return Summand(site=partner.party, vector_digest=answer.vector_digest, signature=signature.hex())


LIES: dict[str, tuple[Callable[[Scene, MaskedUpdateMessage], tuple[Summand, ...]], str]] = {
    "leaves this site out": (lambda scene, it: summands(scene, it)[1:], "exactly once"),
    "counts this site twice": (lambda scene, it: (*summands(scene, it), summands(scene, it)[0]), "exactly once"),
    "counts its vector under a partner's name": (
        lambda scene, it: (summands(scene, it)[0], partners_copy(scene, it), summands(scene, it)[2]),
        "one vector for two sites",
    ),
    "names another vector": (lambda scene, it: (forged_own(scene, it), *summands(scene, it)[1:]), "not by the key"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_researcher_that(lie: str, answered: tuple[Scene, Request, MaskedUpdateMessage]) -> None:
    scene, request, answer = answered
    bend, reason = LIES[lie]
    signed = opened_sum(scene, request, answer, summands=bend(scene, answer))
    assert tell(scene, signed)
    (found,) = logged(scene, SumOpened, SumDisputed)
    assert isinstance(found, SumDisputed)
    assert reason in found.reason
    assert not tell(scene, opened_sum(scene, request, answer, summands=bend(scene, answer), total="dd" * 32))
    assert tell(scene, opened_sum(scene, request, answer)), "the truth is still taken"
    report = scene.audit()
    assert report.broken == []
    assert any("disputes" in sentence for sentence in report.not_proved)


def test_a_second_sum_of_one_round_is_evidence(answered: tuple[Scene, Request, MaskedUpdateMessage]) -> None:
    scene, request, answer = answered
    tell(scene, opened_sum(scene, request, answer))
    assert tell(scene, opened_sum(scene, request, answer, total="dd" * 32))
    assert not tell(scene, opened_sum(scene, request, answer, total="cc" * 32)), (
        "one for each round, or it fills the log"
    )
    assert [type(it) for it in logged(scene, SumOpened, SumDisputed)] == [SumOpened, SumDisputed]
    assert scene.audit().broken == []


def test_nobody_but_its_researcher_speaks_for_a_study_and_only_of_what_was_answered(
    answered: tuple[Scene, Request, MaskedUpdateMessage],
) -> None:
    scene, request, answer = answered
    honest = opened_sum(scene, request, answer)
    with pytest.raises(RefusedError, match="no such study"):
        tell(scene, honest, sender=scene.other_researcher.party)
    with pytest.raises(NotAuthenticError, match="another party than the researcher"):
        tell(scene, sign_sum(scene.other_researcher.signing, honest.opened))
    with pytest.raises(RefusedError, match="no answer to round 2"):
        tell(scene, opened_sum(scene, request, answer, round=2))
    assert logged(scene, SumOpened, SumDisputed) == []


def test_a_round_whose_answer_still_waits_for_its_witnesses_is_in_no_sum(tmp_path: Path) -> None:
    scene = new_scene(tmp_path)
    request = scene.ready()
    answer = scene.compute(request, 1)
    scene.tamper("UPDATE rounds SET awaited_size = 99")
    with pytest.raises(RefusedError, match="no answer"):
        tell(scene, opened_sum(scene, request, answer))
