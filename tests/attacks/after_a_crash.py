"""What a datasite does when it starts again, and the check that its charges and answers belong together."""

from collections import Counter

from sqlalchemy import select

from datasites.execution.interrupted_rounds import take_up_interrupted_rounds
from datasites.requests.records import Request
from datasites.store.tables import rounds
from datasites.witnesses.begin import begin_anew
from policies.budget.chain import verify_chain
from policies.budget.costs import PARTITIONS, round_mechanisms
from policies.budget.tables import charges
from tests.one_site import Scene


def restart(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        take_up_interrupted_rounds(connection, scene.now)
        begin_anew(connection, scene.site, scene.now)
    scene.witness()


def assert_sound(scene: Scene, request: Request) -> set[int]:
    """Each answer has its own charges, its own letter and its own log entry; gives the rounds that were answered."""
    with scene.site.engine.begin() as connection:
        verify_chain(connection)
        states = {row.round: row.state for row in connection.execute(select(rounds))}
        charged = Counter(connection.execute(select(charges.c.step)).scalars())
    answered = {number for number, state in states.items() if state == "computed"}
    assert sorted(it.round for it in scene.updates()) == sorted(answered)
    assert len({it.round_context for it in scene.updates()}) == len(answered)
    spent = {number for number, state in states.items() if state in ("computed", "charged", "burned")}
    expected = {f"round {number}": len(round_mechanisms(request.terms, number)) for number in spent}
    assert charged == expected
    left = scene.balance()
    for partition in PARTITIONS:
        assert left.of(partition).remaining_units + left.of(partition).spent_units <= left.of(partition).allowance_units
    assert scene.audit().broken == []
    return answered
