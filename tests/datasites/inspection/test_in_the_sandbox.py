"""The inspection as it runs: an errand behind all walls that reads what it is shown, and leaves findings or nothing."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from datasites.inspection.question import PrivateData, Question
from datasites.sandbox.errand import Cancel, Errand, Limits, Shown
from datasites.sandbox.zygote import Zygote
from policies.disclosure.findings import Findings, believed
from policies.disclosure.rules import DisclosureRules
from tests.one_inspection import checks, patients

PATIENTS = patients()
MEANS = PATIENTS.groupby(["sex", "region"]).mean(numeric_only=True)
STREAMS = {"stdout.txt": b"done\n", "stderr.txt": b""}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made


def _inspect(zygote: Zygote, private: Path, outputs: Mapping[str, bytes]) -> Findings:
    question = Question(
        outputs=tuple(outputs),
        declared=tuple(outputs),
        rules=DisclosureRules(),
        data_sets=(PrivateData(data_set="clinic", files=(private.name,), unit_column="patient"),),
    )
    written = []
    descriptor = os.open(private, os.O_RDONLY)
    try:
        errand = Errand(
            program="inspection",
            script="",
            files={
                "/inspection.json": question.canonical(),
                **{f"/outputs/{name}": it for name, it in outputs.items()},
            },
            shown=(Shown(f"/private/clinic/{private.name}", private, descriptor),),
            working_folder="/findings",
            collected="/findings",
            environment={},
            limits=Limits(2**30, 2**24, 120, 120, 16, 2**20),
        )
        with Cancel() as cancel:
            zygote.run(errand, lambda piece: written.append(bytes(piece)), cancel)
    finally:
        os.close(descriptor)
    return believed(b"".join(written) if written else None, list(outputs))


@pytest.fixture(scope="module", params=["data.csv", "data.parquet"])
def private(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("private") / request.param
    if path.suffix == ".csv":
        PATIENTS.to_csv(path, index=False)
    else:
        PATIENTS.to_parquet(path)
    return path


def test_honest_outputs_are_clean_there_too(zygote, private):
    table = io.BytesIO()
    MEANS.to_parquet(table)
    outputs = {"means.csv": MEANS.to_csv().encode(), "more/means.parquet": table.getvalue(), **STREAMS}
    findings = _inspect(zygote, private, outputs)
    assert findings.clean, [finding.sentence for finding in findings.found]
    assert findings.inspected == tuple(outputs)


def test_a_record_and_a_name_are_found_there_too(zygote, private):
    outputs = {"means.json": PATIENTS.iloc[7:8].to_json().encode(), **STREAMS, "stderr.txt": b"KeyError: pat-00004"}
    assert {"record-rows", "identifiers"} <= checks(_inspect(zygote, private, outputs))


def test_an_output_of_too_many_values_is_not_clean(zygote, private):
    outputs = {"many.json": json.dumps([[[0.5] * 10] * 1500] * 10).encode(), **STREAMS}
    assert not _inspect(zygote, private, outputs).clean
