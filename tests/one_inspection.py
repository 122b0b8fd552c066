"""One inspection over real files: outputs and private tables are written, the question goes as bytes, findings too."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from datasites.inspection.inspect_outputs import inspect_outputs
from datasites.inspection.question import PrivateData, Question, parse_question
from policies.disclosure.findings import Findings, believed
from policies.disclosure.rules import DisclosureRules

RULES = DisclosureRules()


def patients() -> pd.DataFrame:
    """569 real tumours as a clinic would keep them, with a made-up number, age, sex and region of the patient."""
    frame: pd.DataFrame = load_breast_cancer(as_frame=True).frame
    random = np.random.default_rng(7)
    frame.insert(0, "patient", [f"pat-{number:05}" for number in random.permutation(len(frame))])
    frame.insert(1, "age", random.integers(25, 90, len(frame)))
    frame.insert(2, "sex", np.where(np.arange(len(frame)) % 3 == 0, "m", "f"))
    frame.insert(3, "region", random.choice(["north", "south", "east"], len(frame)))
    return frame


def inspect(
    folder: Path,
    outputs: Mapping[str, bytes | str],
    private: Mapping[str, bytes | pd.DataFrame],
    *,
    declared: Sequence[str] | None = None,
    left_out: Sequence[str] = (),
    unit_column: str | None = None,
    rules: DisclosureRules = RULES,
) -> Findings:
    """Inspect `outputs`, by name, against `private` files of one data set; frames are written as CSV."""
    for name, content in outputs.items():
        _write(folder / "outputs" / name, content.encode() if isinstance(content, str) else content)
    for name, content in private.items():
        table = content if isinstance(content, bytes) else content.to_csv(index=False).encode()
        _write(folder / "private" / "clinic" / name, table)
    question = Question(
        outputs=tuple(outputs),
        declared=tuple(outputs if declared is None else declared),
        left_out=tuple(left_out),
        rules=rules,
        data_sets=(PrivateData(data_set="clinic", files=tuple(private), unit_column=unit_column),),
    )
    found = inspect_outputs(parse_question(question.canonical()), folder / "outputs", folder / "private")
    return believed(found.canonical(), list(outputs))


def checks(findings: Findings, severity: str = "hold") -> set[str]:
    """Which checks found something of this severity."""
    return {finding.check for finding in findings.found if finding.severity == severity}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
