"""Who looks round sees manifests, mock data and the traces of its own requests; nobody else's."""

from contextlib import ExitStack

import pytest

from datasites.catalog.mock import draw_mock
from datasites.catalog.registration import register_data_set
from datasites.protocol.content import LetterContent
from datasites.protocol.identity import Identity
from datasites.protocol.messages import Allowance, CatalogReply
from datasites.requests.catalog import answer_catalog
from policies.errors import RefusedError
from policies.manifest import parse_published_manifest
from tests.one_site import Scene
from tests.site_folder import LIFETIME_EPSILON, write_manifest, write_table


def look(scene: Scene, who: Identity) -> list[CatalogReply]:
    before = len(scene.letters(CatalogReply))
    with ExitStack() as files, scene.site.engine.begin() as connection:
        answer_catalog(connection, scene.site, who.card, files, scene.now)
    return [it for it in scene.letters(CatalogReply) if isinstance(it, CatalogReply)][before:]


def allowance(scene: Scene, who: Identity) -> Allowance:
    (reply,) = look(scene, who)
    return reply.data_sets[0].allowance


@pytest.mark.both_databases
def test_a_researcher_sees_the_traces_of_its_own_spending_only(scene: Scene) -> None:
    request = scene.ready()
    scene.compute(request, 1)
    own, other = allowance(scene, scene.researcher), allowance(scene, scene.other_researcher)
    left = scene.balance()
    assert own.remaining_training_share == 1 - left.training.spent_units / left.training.allowance_units < 1
    assert own.remaining_evaluation_share < 1
    assert (other.remaining_training_share, other.remaining_evaluation_share) == (1, 1)
    assert (own.epsilon, own.delta) == (other.epsilon, other.delta) == (LIFETIME_EPSILON, 1e-6)


@pytest.mark.both_databases
def test_reservations_and_refusals_leave_no_trace(scene: Scene) -> None:
    before = look(scene, scene.other_researcher)[0].model_dump(exclude={"data_sets": {0: {"mock"}}})
    scene.approved()
    scene.submit("3" * 32)
    assert look(scene, scene.other_researcher)[0].model_dump(exclude={"data_sets": {0: {"mock"}}}) == before
    assert allowance(scene, scene.researcher).remaining_training_share == 1


@pytest.mark.both_databases
def test_one_message_a_data_set_each_with_its_own_mock(scene: Scene, tmp_path) -> None:
    manifest = write_manifest(tmp_path / "b.toml", "clinic-b")
    register_data_set(scene.site, manifest, write_table(tmp_path / "b.csv", first=5000), LIFETIME_EPSILON)
    replies = look(scene, scene.researcher)
    assert [reply.total for reply in replies] == [2, 2]
    assert [reply.data_sets[0].name for reply in replies] == ["clinic-a", "clinic-b"]
    for reply in replies:
        (offer,) = reply.data_sets
        assert isinstance(offer.mock, LetterContent)
        published = parse_published_manifest(offer.manifest.encode())
        assert offer.mock.plain() == draw_mock(published)


def test_only_researchers_are_answered(scene: Scene) -> None:
    with pytest.raises(RefusedError):
        look(scene, scene.partners[0])
    assert scene.count("outbox") == 0
