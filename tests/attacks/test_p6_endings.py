"""P6 where things end half way: a study closed, expired or asked for again while its round is being computed."""

from pathlib import Path

import pytest
from sqlalchemy import select

from datasites.protocol.messages import AdvertisementMessage, MaskedUpdateMessage, StudyClose
from datasites.requests.close import close_expired
from datasites.requests.decide import approve
from datasites.requests.records import Request, Status
from datasites.requests.withdraw import withdraw
from datasites.store.engine import forget_deleted
from datasites.store.tables import mask_keys
from policies.errors import ConflictError, RefusedError
from tests.attacks.after_a_crash import assert_sound
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_RUN


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def close(scene: Scene, request: Request) -> None:
    message = StudyClose(study=request.terms.study, reason="Enough.")
    with scene.site.engine.begin() as connection:
        withdraw(connection, scene.researcher.party, message, scene.now)


def test_closing_a_study_while_a_round_is_computed_gives_its_charge_back_to_nobody(scene: Scene) -> None:
    """The data has been touched; a refund on top of the answer would be a free look."""
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    spent = scene.balance().training.spent_units
    close(scene, request)
    with pytest.raises(ConflictError):
        scene.answer(assignment)
    left = scene.balance().training
    assert (left.spent_units, left.reserved_units) == (spent, 0)
    assert left.remaining_units == left.allowance_units - spent
    assert assert_sound(scene, request) == set()


def test_an_answer_that_is_ready_after_the_expiry_stays_inside(scene: Scene) -> None:
    """The approval covered what leaves before a certain second; the trainer was slow, or was made slow."""
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    scene.clock.seconds = request.terms.expires_at
    with pytest.raises(ConflictError):
        scene.answer(assignment)
    assert scene.updates() == []


def test_an_expired_studys_answer_is_not_sent_again(scene: Scene) -> None:
    request = scene.ready()
    scene.compute(request, 1)
    scene.send_all()
    scene.clock.seconds = request.terms.expires_at
    with scene.site.engine.begin() as connection:
        close_expired(connection, scene.now, None)
    with pytest.raises(RefusedError):
        scene.ask(request, 1)
    assert scene.updates() == []


def test_a_study_closed_between_showing_and_approving_is_not_approved(scene: Scene) -> None:
    """The owner signs what is on the screen; in the meantime its researcher ended it, and would end it for free."""
    request = scene.submit()
    digest = scene.shown_digest(request)
    close(scene, request)
    with pytest.raises(RefusedError), scene.site.engine.begin() as connection:
        approve(connection, scene.site, digest, scene.owner_key)
    assert scene.request(request.digest).status is Status.CLOSED
    assert scene.count("reservations") == 0


def test_asking_a_hundred_times_leaves_one_answer_waiting(scene: Scene) -> None:
    """Each copy of a large model's masked update would be hundreds of megabytes of the site's disk."""
    request = scene.ready()
    first = scene.compute(request, 1)
    for _ in range(100):
        scene.ask(request, 1)
    assert scene.letters(MaskedUpdateMessage) == [first]


def test_setting_a_run_up_a_hundred_times_leaves_one_advertisement_waiting(scene: Scene) -> None:
    """An advertisement for ten thousand rounds has most of a megabyte."""
    request = scene.approved()
    advertised = {scene.start(request).signature for _ in range(100)}
    assert len(advertised) == len(scene.letters(AdvertisementMessage)) == 1
    assert scene.start(request, OTHER_RUN).signature not in advertised


def test_a_disk_stolen_after_a_round_holds_no_key_that_opens_its_answer(scene: Scene, tmp_path: Path) -> None:
    """The relay kept the masked update; the key that masked it must be nowhere, free pages and journal included."""
    request = scene.ready()
    with scene.site.engine.begin() as connection:
        keys = list(connection.execute(select(mask_keys.c.private_key).order_by(mask_keys.c.round)).scalars())
    assert all(key in stored_bytes(tmp_path) for key in keys)
    scene.compute(request, 1)
    forget_deleted(scene.site.engine)
    on_disk = stored_bytes(tmp_path)
    assert [key in on_disk for key in keys] == [False, True, True, True]
    close(scene, request)
    forget_deleted(scene.site.engine)
    assert not any(key in stored_bytes(tmp_path) for key in keys)


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
