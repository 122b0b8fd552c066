"""One study on a tapped line: what passed, what the relay keeps and what the coordinator got tells of sums only."""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare

from datasites.catalog.mock import draw_mock
from datasites.protocol.envelope import Opened, open_envelope
from datasites.secure_averaging.layout import decode, vector_length
from policies.errors import NotAuthenticError
from policies.manifest import parse_manifest
from researcher import RoundRecord, Study
from researcher import correspondence as correspondence_module
from researcher.correspondence import Correspondence
from tests.demo.hospitals import UNITS, share_out
from tests.system.federation import LiveFederation
from tests.system.plans import METRIC
from tests.whole_vectors import encode
from tests.whole_vectors import opened as opened_sum

_IMPOSSIBLE = 1e-9


@dataclass
class Watched:
    """A finished study, the global model before each round and after the last, and all that its coordinator took in."""

    study: Study
    models: list[NDArray[np.float32]] = field(default_factory=list)
    records: list[RoundRecord] = field(default_factory=list)
    vectors: list[list[NDArray[np.uint32]]] = field(default_factory=list)
    downloads: list[bytes] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def watched(live: LiveFederation) -> Iterator[Watched]:
    """Three rounds (two train, the first and the last evaluate) with the coordinator's two doors watched."""
    with pytest.MonkeyPatch.context() as patch:
        downloads: list[bytes] = []
        messages: list[bytes] = []
        opened_content = Correspondence.open

        def watch_download(*arguments: Any) -> Iterator[bytes]:
            downloads.append(b"".join(opened_content(*arguments)))
            yield downloads[-1]

        def watch_letter(*arguments: Any) -> Opened:
            opened = open_envelope(*arguments)
            messages.append(opened.message.canonical())
            return opened

        patch.setattr(Correspondence, "open", watch_download)
        patch.setattr(correspondence_module, "open_envelope", watch_letter)
        live.ada.data_sets  # noqa: B018 (the mock data belongs to what the coordinator takes in)
        seen = Watched(live.approved_study(), downloads=downloads, messages=messages)
        seen.models.append(_model(seen.study))
        before = len(downloads)
        for record in seen.study.rounds():
            seen.records.append(record)
            seen.models.append(_model(seen.study))
            seen.vectors.append([np.frombuffer(content, "<u4") for content in downloads[before:]])
            before = len(downloads)
        yield seen


def test_what_passed_and_what_the_relay_keeps_holds_no_plaintext(live: LiveFederation, watched: Watched) -> None:
    streams = live.proxy.recorded()
    kept = [path.read_bytes() for path in live.relay_folder.rglob("*") if path.is_file() and path.name != "lock"]
    # That this search finds what is there: the outside of letters, and a member's identity in the relay's database.
    party = live.ada.card.party.encode()
    assert any(b'"version":"cloister-envelope/1"' in stream for stream in streams)
    assert any(party in stream for stream in streams)
    assert any(party in content for content in kept)
    assert sum(map(len, streams)) > 3 * 3 * 4 * len(watched.models[0])

    for what, needles in _secrets(live, watched).items():
        assert needles
        for needle in needles:
            assert len(needle) >= 7, "a shorter one would be found by chance"
            assert not any(needle in content for content in (*streams, *kept)), f"{what} passed or lies in the open"


def test_what_the_coordinator_took_in_holds_nothing_private(live: LiveFederation, watched: Watched) -> None:
    assert any(b"masked-update" in message for message in watched.messages)
    assert any(b"mock-0001" in content for content in watched.downloads)
    # Some cells have few digits and stand in the mock data by chance, which is drawn from the manifest alone.
    mocks = [draw_mock(parse_manifest((it.site.folder / "manifest.toml").read_bytes())) for it in live.sites.values()]
    cells = [cell for cell in (b",%b," % it for it in _cells()) if not any(cell in mock for mock in mocks)]
    assert len(cells) > 100
    for needle in (*_identifiers(), *cells, *_records()):
        assert not any(needle in content for content in (*watched.downloads, *watched.messages))


def test_a_single_sites_vector_is_uniform_and_so_is_every_pair(watched: Watched) -> None:
    terms = watched.study.terms
    assert [len(vectors) for vectors in watched.vectors] == [3, 3, 3]
    for number in (1, 2):
        vectors = watched.vectors[number - 1]
        assert {vector.size for vector in vectors} == {vector_length(terms, number)}
        partial = [*vectors, *(one + other for one, other in combinations(vectors, 2))]
        for part in partial:
            assert _chance_of_uniform(part) > _IMPOSSIBLE
            with pytest.raises(NotAuthenticError, match="does not open"):
                decode(terms, number, part)
        # That the statistic sees what is not masked: the whole sum, and one site's vector as it was before its masks.
        assert _chance_of_uniform(sum(vectors)) < _IMPOSSIBLE
        update = np.asarray(watched.models[number] - watched.models[number - 1])
        metrics = np.array([20.0, 11.0]) if number == 1 else None
        assert _chance_of_uniform(encode(terms, number, update, metrics, 1)) < _IMPOSSIBLE


def test_no_vector_repeats_or_undoes_another_rounds_masks(watched: Watched) -> None:
    first, second = (vectors for vectors in watched.vectors[:2])
    for one in first:
        for other in second:
            assert _chance_of_uniform(other - one[: other.size]) > _IMPOSSIBLE


def test_the_sum_over_all_is_the_plain_average_that_moved_the_model(watched: Watched) -> None:
    terms = watched.study.terms
    for number in (1, 2):
        whole = opened_sum(terms, number, sum(watched.vectors[number - 1]))
        moved = watched.models[number].astype(np.float64) - watched.models[number - 1]
        assert whole.update is not None
        np.testing.assert_allclose(moved, whole.update, atol=1e-6)
        # Each site adds noise of a public size, so that the size of an average over exactly these three is public too;
        # what they learned comes on top, at most learning_rate × clipping_norm × 1.25 in length a site (it is clipped).
        noise = _noise_of_the_average(watched)
        learned = terms.training.learning_rate * terms.training.clipping_norm * 1.25 / np.sqrt(moved.size)
        assert 0.9 * noise < whole.update.std() < 1.1 * np.hypot(noise, learned)
    assert np.array_equal(watched.models[3], watched.models[2]), "the last round only measures"


def test_the_metrics_count_everybodys_holdout_units(watched: Watched) -> None:
    terms = watched.study.terms
    spread = 5 * terms.evaluation.noise_multiplier * np.sqrt(2 * len(UNITS)) + 1
    for number in (1, 3):
        whole = opened_sum(terms, number, sum(watched.vectors[number - 1]))
        assert whole.metrics is not None
        good, bad = whole.metrics
        # A fifth of each hospital's patients, by a keyed hash: 91 ± 5 × 8.5 of 455.
        assert abs(good + bad - 91) < 43 + spread
        shown = watched.records[number - 1].metrics
        assert shown is not None
        assert shown[METRIC].value == pytest.approx(np.clip(good / max(good + bad, 1), 0, 1))
    assert watched.records[1].metrics is None
    assert all(bool(torch.isfinite(value).all()) for value in watched.study.result().parameters.values())


def _noise_of_the_average(watched: Watched) -> float:
    """The standard deviation of a coordinate: a site's step adds learning_rate × σ × C / (q × its training units)."""
    training = watched.study.terms.training
    nominal = np.array([units - round(0.2 * units) for units in UNITS.values()])
    of_sites = training.learning_rate * training.noise_multiplier * training.clipping_norm
    of_sites = of_sites * np.sqrt(training.local_steps) / (training.sampling_rate * nominal)
    return float(np.sqrt((of_sites**2).sum()) / len(nominal))


def _chance_of_uniform(vector: NDArray[np.uint32]) -> float:
    """How likely bytes as uneven as these are, if all were equally likely (Pearson's chi-square, 255 degrees)."""
    counts = np.bincount(vector.astype("<u4").view(np.uint8), minlength=256)
    return float(chisquare(counts).pvalue)


def _model(study: Study) -> NDArray[np.float32]:
    parameters = study.result().parameters
    return np.concatenate([parameters[name].numpy().ravel() for name in sorted(parameters)])


def _identifiers() -> list[bytes]:
    hospitals, _ = share_out()
    return [identifier.encode() for patients in hospitals.values() for identifier in patients.identifiers]


def _cells() -> list[bytes]:
    """Some cells of every hospital as they stand in its table, long enough not to be met by chance."""
    hospitals, _ = share_out()
    cells = [repr(cell) for patients in hospitals.values() for cell in patients.features.ravel().tolist()]
    return [cell.encode() for cell in random.sample([cell for cell in cells if len(cell) >= 7], 200)]


def _records() -> list[bytes]:
    """The beginning of every patient's record as a trainer computes with it."""
    hospitals, _ = share_out()
    return [row[:3].tobytes() for patients in hospitals.values() for row in patients.standardised()]


def _secrets(live: LiveFederation, watched: Watched) -> dict[str, list[bytes]]:
    terms, site = watched.study.terms, live.sites["anna-hospital"]
    request = live.ada.correspondence.state
    with request.transaction() as connection:
        (row,) = connection.execute("SELECT * FROM studies WHERE study = ?", (terms.study,)).fetchall()
    models = [model[start : start + 4].tobytes() for model in watched.models for start in range(0, 2048, 256)]
    source = [line.strip().encode() for line in row["source"].splitlines() if len(line.strip()) >= 20]
    manifest = Path(site.site.folder / "manifest.toml").read_text()
    return {
        "a patient's identifier": _identifiers(),
        "a patient's identifier in hexadecimal": [one.hex().encode() for one in _identifiers()],
        "a cell": _cells(),
        "a standardised record": _records(),
        "a line of the plan": source,
        "a global model": models,
        "a float of the model": [struct.pack("<2f", *watched.models[-1][:2])],
        "the metric's name": [METRIC.encode()],
        "the terms": [b"cloister-terms/1", b"noise_multiplier", b"learning_rate", terms.canonical()[:40]],
        "the study's words": [text.encode() for text in (terms.title, terms.purpose, terms.recipients)],
        "a program": [b"cloister-program/1", row["loss_program"].encode()[40:80]],
        "the study's name": [terms.study.encode(), terms.digest().encode()],
        "a manifest": [b"breast-tumours", b"patient_id", b"mean radius", manifest.splitlines()[1].encode()[8:-1]],
        "mock data": [b"mock-0001"],
        "a decision": [b"cloister-decision/1", b"approved as shown", b"The owner approved"],
        "a message's type": [b"masked-update", b"study-submission", b"round-start", b"catalog-reply"],
    }
