"""Every parser that faces outside takes some made-up inputs, and refuses them as it says it does.

`make fuzz` gives them a million, and shapes of 1 MiB.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.errors import InvalidInputError
from policies.statements.canonical import parse_canonical
from tests.fuzz.forms import ENVELOPE, JSON, LINES, SAFETENSORS, TOML
from tests.fuzz.mutate import flip, mutate
from tests.fuzz.targets import TARGETS, Target

_REPOSITORY = Path(__file__).parents[2]
_INPUTS, _LARGEST_SHAPE = 2_000, 1 << 18
_NO_ATHERIS = "atheris has no wheel for this machine or Python: here the parsers are tried by hypothesis alone"

coverage_guided = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason=_NO_ATHERIS)


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _variant(target: Target, seed: bytes, number: int) -> bytes:
    random = Random(number)
    return mutate(seed, target.form, random, lambda it: flip(it, random), target.longest)


@coverage_guided
def test_coverage_guided_inputs_find_nothing() -> None:
    words = ("--inputs", str(_INPUTS), "--largest-shape", str(_LARGEST_SHAPE), "--workers", "1")
    ran = _python(_REPOSITORY, "-m", "tests.fuzz.run", *words)
    assert ran.returncode == 0, ran.stdout[-20_000:]
    for target in TARGETS:
        assert f"\n{target.name} " in f"\n{ran.stdout}", "every target ran"


@coverage_guided
def test_the_fuzzer_finds_what_is_planted_and_keeps_the_input(tmp_path: Path) -> None:
    said = _python(tmp_path, "-m", "tests.fuzz.planted").stdout
    outcomes = {line.split()[0]: line.split()[-1] for line in said.splitlines() if " edges " in line}
    planted = ("undeclared", "hang", "allocate", "quote", "unlimited")
    assert outcomes == {**dict.fromkeys(planted, "FAILED"), "parse": "ok"}
    for sentence in ("KeyError: 'name'", "Timeout", "MemoryError", "no sentence for people", "more than its limit"):
        assert sentence in said
    kept = {file.name.split("-")[0]: file.read_bytes() for file in (tmp_path / "fuzz-findings").iterdir()}
    assert kept.keys() == set(planted) - {"unlimited"}, "what is only too long need not be kept"
    assert b'"count"' in kept["undeclared"]
    assert b'"name"' not in kept["undeclared"]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_variant_of_a_valid_input_does_more_than_be_refused(target: Target, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(target.seeds))
    target.accepts(_variant(target, seed, data.draw(st.integers(0, 2**32 - 1))))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=200))
def test_no_other_bytes_do_more_than_be_refused(target: Target, data: bytes) -> None:
    target.accepts(data)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_values_that_fuzzing_starts_from_are_accepted(target: Target) -> None:
    assert all(target.accepts(seed) for seed in target.seeds)


@pytest.mark.parametrize("target", [it for it in TARGETS if it.limit is not None], ids=lambda target: target.name)
def test_a_byte_over_the_limit_is_refused(target: Target) -> None:
    assert target.limit is not None
    assert not target.accepts(bytes(target.limit + 1))


@pytest.mark.parametrize("form", [JSON, LINES, TOML, ENVELOPE, SAFETENSORS], ids=lambda form: form.name)
def test_fields_put_back_unchanged_are_the_same_value(form) -> None:
    for target in TARGETS:
        if target.form is form:
            for seed in target.seeds:
                tree, put = form.take(seed, Random(0))
                again = put(tree)
                assert form.take(again, Random(0))[0] == tree
                assert target.accepts(again)


def test_most_variants_of_a_message_are_canonical() -> None:
    message = next(it for it in TARGETS if it.name == "message")
    canonical = 0
    for number in range(200):
        changed = _variant(message, message.seeds[1], number)
        with contextlib.suppress(InvalidInputError):
            parse_canonical(changed, maximum_bytes=1 << 20, what="It")
            canonical += 1
    assert canonical > 120
