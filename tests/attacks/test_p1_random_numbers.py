"""P1 through randomness: what a program draws shows nothing of the noise or the sampling, and metrics draw nothing."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from datasites.training import drawn
from datasites.training.data import UnitData
from datasites.training.randomness import SecretStream
from datasites.training.study import prepare_study
from datasites.training.trainer import local_training
from policies.errors import InvalidInputError
from policies.programs.check import check_program
from policies.programs.format import parse_program
from policies.statements.canonical import canonical_bytes
from tests.attacks.crafted_study import SQUARE, Nodes, document, people, prepared, study, training, weights

DRAWING: Nodes = [
    *SQUARE,
    ("uniform", [], {"shape": [500]}),
    ("normal", [], {"shape": [500]}),
    ("mul", [6, 7], {}),
    ("sum", [8], {"dims": [], "keep": False}),
    ("add", [5, 9], {}),
]


def test_what_a_program_draws_is_no_part_of_the_noise_or_the_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that saw the noise of its own release would take it off again."""
    secret: list[NDArray[Any]] = []
    seen: list[torch.Tensor] = []
    streams: dict[bool, set[int]] = {True: set(), False: set()}
    handing_out: list[bool] = []
    uniforms, normals, chunk = SecretStream.uniforms, SecretStream.normals, drawn.DrawingUnits.chunk

    def recorded_uniforms(self: SecretStream, count: int) -> NDArray[np.float64]:
        found = uniforms(self, count)
        streams[bool(handing_out)].add(id(self))
        if not handing_out:
            secret.append(found)
        return found

    def recorded_normals(self: SecretStream, count: int) -> NDArray[np.float64]:
        found = normals(self, count)
        streams[bool(handing_out)].add(id(self))
        if not handing_out:
            secret.append(found)
        return found

    def recorded_chunk(self: drawn.DrawingUnits, units: torch.Tensor, size: int) -> UnitData:
        handing_out.append(True)
        found = chunk(self, units, size)
        handing_out.pop()
        seen.extend(found.record[2:])
        return found

    monkeypatch.setattr(SecretStream, "uniforms", recorded_uniforms)
    monkeypatch.setattr(SecretStream, "normals", recorded_normals)
    monkeypatch.setattr(drawn.DrawingUnits, "chunk", recorded_chunk)
    local_training(prepared(DRAWING), torch.zeros(3), people(64), training(local_steps=3), 64, 1)
    handed = torch.cat([values.flatten() for values in seen]).numpy()
    hidden = np.unique(np.concatenate(secret).astype(np.float32))
    assert len(handed) > 64 * 1000
    assert len(streams[True]) == 1
    assert not streams[True] & streams[False]
    # Among 2²⁴ multiples of 2⁻²⁴ some meet by chance; one sequence for both would hand out most of them.
    assert np.isin(hidden, handed).mean() < 0.2


def test_what_a_program_draws_leaves_torchs_own_generator_alone_and_no_seed_repeats_it() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    units = drawn.DrawingUnits(people(2), prepared(DRAWING).program)
    first = units.chunk(torch.arange(2), 2)
    assert torch.equal(torch.rand(1), expected)
    torch.manual_seed(1)
    again = drawn.DrawingUnits(people(2), prepared(DRAWING).program).chunk(torch.arange(2), 2)
    assert not torch.equal(first.record[2], again.record[2])


@pytest.mark.parametrize("op", ["uniform", "normal"])
def test_metrics_that_draw_are_refused_wherever_they_come_in(op: str) -> None:
    """Means over people must be of people: an average of chance would hide what the model knows."""
    nodes: Nodes = [(op, [], {"shape": [1]}), ("sum", [3], {"dims": [], "keep": False})]
    text = canonical_bytes(document(nodes, "first")).decode()
    with pytest.raises(InvalidInputError, match="draws random numbers"):
        check_program(parse_program(text.encode()), kind="metrics")
    with pytest.raises(InvalidInputError, match="draws random numbers"):
        prepare_study(study(SQUARE).model_copy(update={"metrics": text}), weights(), 2**26, 0)


@pytest.mark.parametrize(
    "node",
    [
        ("uniform", [1], {"shape": [1]}),
        ("normal", [], {}),
        ("normal", [], {"shape": [10**9]}),
        ("normal", [], {"shape": [4], "seed": 1}),
        ("uniform", [], {"shape": [4], "generator": "noise"}),
    ],
)
def test_nothing_but_the_shape_can_be_said_of_what_is_drawn(node: Any) -> None:
    nodes: Nodes = [node, ("sum", [3], {"dims": [], "keep": False})]
    with pytest.raises(InvalidInputError):
        check_program(parse_program(canonical_bytes(document(nodes))), kind="loss")
