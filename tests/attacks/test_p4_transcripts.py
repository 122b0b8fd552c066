"""P4 from transcripts: what a relay that kept everything, colluders and a coordinator with old papers can still open.

Statistics: a residue counts as uniform while the smallest of its four chi-square p-values is above 10⁻⁸, so an honest
vector is called non-uniform in fewer than 1 of 10⁷ runs.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.stats import chi2

from datasites.protocol.messages import Roster
from datasites.secure_averaging.advertisement import roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.masks import pair_mask
from policies.errors import CloisterError, NotAuthenticError, RefusedError
from policies.statements.canonical import canonical_bytes
from policies.terms import Terms
from tests.attacks.conftest import MODEL, RUN, Site, make_terms
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_RUN
from tests.whole_vectors import apply_masks, encode, opened

FALSE_ALARM = 1e-8
Study = tuple[Terms, list[Site]]


def smallest_p(vector: NDArray[np.uint32]) -> float:
    lanes = np.ascontiguousarray(vector, "<u4").view(np.uint8).reshape(-1, 4)
    expected = len(lanes) / 256
    statistics = [np.sum((np.bincount(lane, minlength=256) - expected) ** 2 / expected) for lane in lanes.T]
    return float(chi2.sf(max(statistics), 255))


def peeled(study: Study, colluders: list[Site], round_number: int = 1, **changes: Any) -> NDArray[np.uint32]:
    """Site 0's masked vector of round 1 after taking off every mask that `colluders` can compute.

    `round_number` is whose keys they use, and `changes` what they take for roster, run or model.
    """
    terms, sites = study
    roster = [site.advertisement for site in sites]
    answer = np.frombuffer(sites[0].answer(terms, roster).vector, "<u4").copy()
    run, model = changes.get("run", RUN), changes.get("model", MODEL)
    setup = setup_context(terms.digest(), run, roster_digest(changes.get("roster", roster)))
    context = round_context(setup, changes.get("number", 1), model)
    victim = sites[0].advertisement.key(round_number)
    for colluder in colluders:
        private = X25519PrivateKey.from_private_bytes(colluder.mask_keys[round_number - 1])
        apply_masks(answer, [pair_mask(private, victim, context, colluder.party, sites[0].party)])
    return answer


def test_one_honest_site_beside_the_victim_keeps_its_vector_uniform(averaging_study: Study) -> None:
    """All other sites but one, and the coordinator; with that one too nothing is hidden, so the test can fail."""
    _, sites = averaging_study
    for honest in (1, 2, 3):
        colluders = [site for place, site in enumerate(sites) if place not in (0, honest)]
        assert smallest_p(peeled(averaging_study, colluders)) > FALSE_ALARM
    bare = peeled(averaging_study, sites[1:])
    assert smallest_p(bare) < 1e-100
    assert np.allclose(bare.view(np.int32) / (2**15 - 1), 0.001, atol=1.01 / (2**15 - 1))


def test_all_keys_of_another_round_take_no_mask_off(averaging_study: Study) -> None:
    """Three sites broken into after round 1: they hold the keys of round 2, and the relay kept round 1."""
    _, sites = averaging_study
    assert smallest_p(peeled(averaging_study, sites[1:], round_number=2)) > FALSE_ALARM


@pytest.mark.parametrize("mistaken", ["run", "number", "model", "roster"])
def test_the_right_keys_in_any_other_context_take_no_mask_off(averaging_study: Study, mistaken: str) -> None:
    """A coordinator that shows the others another model, run or roster gets keystreams that are of no use."""
    _, sites = averaging_study
    roster = [site.advertisement for site in sites]
    other = {"run": OTHER_RUN, "number": 2, "model": "f" * 64, "roster": roster[:3]}[mistaken]
    assert smallest_p(peeled(averaging_study, sites[1:], **{mistaken: other})) > FALSE_ALARM


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_largest_terms_that_are_taken_do_not_wrap(sign: float) -> None:
    """Weights and bits chosen so that a sum of extremes wraps around would turn a site's share inside out."""
    parties = [f"{number:064x}" for number in range(100)]
    document = make_terms(parties, [16] * 100).model_dump(mode="json")
    document["programs"]["parameter_count"] = 1
    document["secure_averaging"] |= {"bits": 20}
    terms = Terms.model_validate_json(canonical_bytes(document))
    update = np.full(1, sign * 9.0, np.float32)
    total = np.zeros(1, np.uint32)
    for _ in parties:
        total += encode(terms, 1, update, None, 16)
    read = opened(terms, 1, total).update
    assert read is not None
    assert read[0] == pytest.approx(sign * 1.0)
    document["secure_averaging"] |= {"bits": 21}
    with pytest.raises(ValidationError):
        Terms.model_validate_json(canonical_bytes(document))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def test_a_run_begun_again_under_its_old_name_does_not_take_its_old_keys_back(scene: Scene) -> None:
    """The coordinator keeps the first, validly signed keys and shows them to this site, or to the others."""
    request = scene.approved()
    first = scene.start(request)
    scene.start(request, OTHER_RUN)
    again = scene.start(request)
    assert first.run == again.run
    assert set(first.keys).isdisjoint(again.keys)
    honest = scene.roster(request, again)
    with pytest.raises(NotAuthenticError, match="other mask keys"):
        scene.accept(with_entries(honest, 0, first))
    scene.accept(honest)


def test_an_advertisement_of_an_earlier_run_is_not_taken_into_a_later_one(scene: Scene) -> None:
    """Its private halves may be lying on a stolen disk; signed it is all the same."""
    request = scene.approved()
    earlier = scene.roster(request, scene.start(request))
    later = scene.roster(request, scene.start(request, OTHER_RUN), OTHER_RUN)
    for place in range(3):
        with pytest.raises(CloisterError, match=r"another study or run"):
            scene.accept(with_entries(later, place, earlier.advertisements[place]))
    scene.accept(later)


def test_a_roster_accepted_for_one_run_starts_no_round_of_another(scene: Scene) -> None:
    request = scene.approved()
    scene.accept(scene.roster(request, scene.start(request)))
    scene.start(request, OTHER_RUN)
    for run in (RUN, OTHER_RUN, "a" * 32):
        with pytest.raises(RefusedError, match="no roster"):
            scene.ask(request, 1, run=run)
    assert scene.count("rounds") == 0


def with_entries(roster: Roster, place: int, entry: Any) -> Roster:
    entries = list(roster.advertisements)
    entries[place] = entry
    return roster.model_copy(update={"advertisements": tuple(entries)})
