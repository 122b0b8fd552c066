"""P5, of requests that gave way to newer ones: who may replace what, and that nothing happens to them afterwards."""

from collections.abc import Callable

import pytest

from policies.log import entries as log
from policies.log.budget_entries import ChargeMade
from policies.log.superseded_entries import RequestSuperseded
from policies.terms import Terms
from tests.attacks.honest_log import (
    APPROVED,
    HONEST,
    RECEIVED,
    REQUEST,
    RESEARCHER,
    RESERVED,
    TERMS,
    Entries,
    after,
    changed,
    verify,
)

NEWER = TERMS.model_copy(update={"study": "1f" * 16, "supersedes": REQUEST})


def received(terms: Terms) -> log.RequestReceived:
    return log.RequestReceived(at=96, request=terms.digest(), terms=terms)


def superseded(request: str = REQUEST, by: Terms = NEWER) -> RequestSuperseded:
    return RequestSuperseded(at=97, request=request, by=by.digest())


def ending(*new: log.LogEntry) -> Entries:
    """The honest log as far as the request's receipt, then `new`."""
    return [*HONEST[: HONEST.index(RECEIVED) + 1], *new]


def eves() -> Entries:
    eve = "bb" * 32
    terms = NEWER.model_copy(update={"researcher": eve})
    pinned = log.PeerPinned(at=95, party=eve, name="Eve", role="researcher", card="ee" * 32)
    return ending(pinned, received(terms), superseded(by=terms))


def test_a_request_gives_way() -> None:
    assert verify(ending(received(NEWER), superseded())).broken == []
    assert NEWER.researcher == RESEARCHER


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (lambda: ending(received(NEWER), superseded(), APPROVED, RESERVED), "closed"),
        (lambda: ending(superseded()), "never received"),
        (lambda: ending(received(NEWER), superseded("12" * 32)), "never received"),
        (lambda: ending(received(NEWER), superseded(NEWER.digest(), NEWER)), "does not name it"),
        (lambda: ending(superseded(by=TERMS)), "does not name it"),
        (eves, "another researcher's"),
    ],
)
def test_a_forged_replacement_in_the_log_is_found(forge: Callable[[], Entries], says: str) -> None:
    broken = verify(forge()).broken
    assert broken
    assert all(says in it.reason for it in broken)


def test_a_study_that_runs_does_not_give_way() -> None:
    charged = next(it for it in HONEST if isinstance(it, ChargeMade))
    broken = verify(after(charged, received(NEWER), changed(superseded(), at=charged.at))).broken
    assert any("a study that runs is superseded" in it.reason for it in broken)
