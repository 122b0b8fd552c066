"""P6: killed on either side of every transaction's end, on both databases, a datasite goes on as if nothing had been.

Here at every third end, on PostgreSQL at every ninth, in turn before a commit and after one; `make crashes` kills at
all of them, and at every single statement too.
"""

from pathlib import Path

import pytest

from datasites.requests.close import close_request
from datasites.requests.records import Status
from policies.budget.ledger import close
from tests.crashes.all_lives import ALL_LIVES
from tests.crashes.crash import crash, points
from tests.crashes.lives import APPROVED, CHECKED, SUBMITTED, Life, Memory, Step, request_of
from tests.crashes.sound import require_sound
from tests.databases import DATABASES, SQLITE
from tests.one_site import Scene

ENDS = ("before-commit", "after-commit")


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("life", ALL_LIVES, ids=lambda it: it.name)
def test_a_site_killed_at_a_transactions_end_lives_on(life: Life, database: str, tmp_path: Path) -> None:
    found = [it for it in points(life, tmp_path, database) if it.boundary in ENDS]
    found = found[::3] if database == SQLITE else found[1::9]
    assert found
    for number, point in enumerate(found):
        crash(life, point, tmp_path / f"killed-{number}")


def test_a_change_in_two_transactions_would_be_noticed(tmp_path: Path) -> None:
    """The positive twin: a reservation is returned, and the log is told of it a moment later."""

    def close_in_two(scene: Scene, _memory: Memory) -> None:
        request = request_of(scene)
        with scene.site.engine.begin() as connection:
            close(connection, request.digest, scene.now)
        with scene.site.engine.begin() as connection:
            close_request(connection, request.digest, Status.CLOSED, "Enough.", scene.now)

    steps = (SUBMITTED, CHECKED, APPROVED, Step("close", close_in_two))
    life = Life("in two", steps, lambda scene: require_sound(scene), watched_from=3)
    first_committed = [it for it in points(life, tmp_path, SQLITE) if it.boundary in ENDS][1]
    with pytest.raises(AssertionError):
        crash(life, first_committed, tmp_path / "killed")
