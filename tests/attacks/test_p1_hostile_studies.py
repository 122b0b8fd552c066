"""P1 at a whole site: files that bomb or lie end their own study with one sentence, and nothing else there."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from datasites.catalog.registration import register_data_set
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.protocol.messages import StudyStatus
from datasites.requests.records import Request, Status
from policies.programs.digests import parameters_digest
from policies.programs.format import parse_program
from policies.programs.tokeniser import TOKENISER_DOMAIN
from policies.statements.digests import digest
from tests import text_study
from tests.one_site import Scene, new_scene
from tests.one_study import PARAMETERS
from tests.site_folder import LIFETIME_EPSILON

LETTERS = f"""
name = "letters"
title = "Discharge letters"
description = "One row a letter."
target = "pain"
[privacy_unit]
column = "patient"
maximum_records = 1
nominal_units = 60
[holdout]
fraction = 0.25
[[columns]]
name = "letter"
type = "text"
maximum_bytes = {text_study.TEXT_BYTES}
[[columns]]
name = "pain"
type = "number"
minimum = 0.0
maximum = 10.0
"""

LETTER_UNITS = {"training_units": 45, "holdout_units": 15}


@dataclass(frozen=True)
class Ward:
    """A site with an honest study whose trainer waits for its first round, and letters that others ask for."""

    scene: Scene
    worker: Worker
    honest: Request

    def trainer(self, request: Request) -> Any:
        """The process that is the study's trainer."""
        running = self.worker.trainers._running.get(request.digest)
        return None if running is None else running._process


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    scene = new_scene(folder)
    register_letters(scene, folder)
    honest = scene.ready()
    worker = Worker(scene.site, Trainers(scene.site))
    with ExitStack() as stack:
        stack.callback(worker.trainers.end_all_but, set())
        while worker.work():
            pass
        yield Ward(scene, worker, honest)


def register_letters(scene: Scene, folder: Path) -> None:
    manifest, table = folder / "letters.toml", folder / "letters.csv"
    manifest.write_text(LETTERS)
    table.write_text("patient,letter,pain\n" + "".join(f"q{number},No pain.,1\n" for number in range(60)))
    register_data_set(scene.site, manifest, table, LIFETIME_EPSILON)


def on_letters(scene: Scene, study: str, file: bytes) -> Request:
    """What the site makes of a study on texts that comes with this tokeniser."""
    tokens = text_study.tokens().model_copy(update={"tokeniser": digest(TOKENISER_DOMAIN, file)})
    parameters = text_study.parameters()
    terms = scene.terms(
        study,
        cohort=[{**member.model_dump(), "data_set": "letters", **LETTER_UNITS} for member in scene.terms().cohort],
        programs={
            "loss": parse_program(text_study.LOSS.encode()).digest(),
            "metrics": parse_program(text_study.METRICS.encode()).digest(),
            "initial_parameters": parameters_digest(parameters),
            "parameter_count": 1,
            "tokens": tokens.model_dump(mode="json"),
        },
        evaluation={"metrics": ["pain"]},
    )
    programs = {"loss_program": text_study.LOSS, "metrics_program": text_study.METRICS}
    return scene.receive(terms, parameters=parameters, tokeniser=file, **programs)


def with_parameters(scene: Scene, study: str, file: bytes) -> Request:
    """What the site makes of an honest study that comes with this parameter file."""
    return scene.receive(scene.terms(study, programs={"initial_parameters": parameters_digest(file)}), parameters=file)


def bomb() -> bytes:
    """Two megabytes of steps within steps."""
    return b'{"normalizer":' + b'{"type":"Sequence","normalizers":[' * 60_000


def endless_words() -> bytes:
    """A vocabulary longer than any may be."""
    words = {"?": 0, "-": 1, **{f"w{number}": number for number in range(2, 300_002)}}
    return text_study.tokeniser(model={"type": "WordLevel", "unk_token": "?", "vocab": words})


def header_of_many() -> bytes:
    """Fifty thousand names for the same few bytes."""
    entry = {"dtype": "F32", "shape": [1, PARAMETERS], "data_offsets": [0, 4 * PARAMETERS]}
    header = json.dumps({f"w{number}": entry for number in range(50_000)}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * PARAMETERS)


def weights_of_another_shape() -> bytes:
    """As many bytes as are due, lying across."""
    return save({"weight": np.zeros((PARAMETERS, 1), np.float32)})


HOSTILE = (
    (on_letters, bomb, "not strict JSON"),
    (on_letters, endless_words, "vocab"),
    (with_parameters, header_of_many, "not valid safetensors"),
    (with_parameters, weights_of_another_shape, "must be float32 of shape"),
)


@pytest.mark.parametrize(("submit", "file", "reason"), HOSTILE, ids=[file.__name__ for _, file, _ in HOSTILE])
def test_a_hostile_file_ends_its_own_study_with_one_sentence_and_nothing_else(
    ward: Ward, submit: Any, file: Any, reason: str
) -> None:
    scene, running = ward.scene, ward.trainer(ward.honest)
    request = submit(scene, digest("study", file.__name__.encode())[:32], file())
    assert request.status is Status.RECEIVED
    assert ward.worker.work()
    refused = scene.request(request.digest)
    assert refused.status is Status.REFUSED
    assert reason in refused.detail
    assert refused.detail.endswith(".")
    assert "\n" not in refused.detail
    assert 20 < len(refused.detail) < 400
    (told,) = [it for it in scene.letters(StudyStatus)[-1:] if isinstance(it, StudyStatus)]
    assert (told.study, told.status, told.detail) == (request.terms.study, "refused", refused.detail)
    assert not ward.worker.work()
    assert ward.trainer(request) is None
    assert ward.trainer(ward.honest) is running is not None
    assert running.poll() is None


def test_an_honest_tokeniser_beside_them_is_taken_and_the_honest_round_is_computed(ward: Ward) -> None:
    """The positive twin of all above: the letters' study waits for its owner, the other is trained where it stood."""
    scene, running = ward.scene, ward.trainer(ward.honest)
    request = on_letters(scene, "7" * 32, text_study.tokeniser())
    assert scene.ask(ward.honest, 1)
    while ward.worker.work():
        scene.witness()
    assert scene.request(request.digest).status is Status.PENDING
    assert [update.round for update in scene.updates()] == [1]
    assert ward.trainer(ward.honest) is running is not None
    assert scene.audit().broken == []
