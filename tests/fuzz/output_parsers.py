"""The readers of a job's outputs, as a fuzzer calls them: what is not read to its end says so in a finding."""

import os
import tempfile
from functools import cache
from pathlib import Path

from datasites.inspection.content import Content
from datasites.inspection.formats import read_output
from policies.disclosure.findings import collect, parse_findings
from policies.errors import InvalidInputError


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-outputs-")


def try_findings(data: bytes) -> None:
    findings = parse_findings(data)
    assert all(finding.sentence for finding in findings.found)
    assert findings.clean == (findings.more == 0 and not any(it.severity == "hold" for it in findings.found))


def _read(suffix: str, data: bytes) -> Content:
    path = Path(_folder().name) / f"output-{os.getpid()}{suffix}"
    path.write_bytes(data)
    content = read_output(path.name, path)
    assert collect([path.name], content.found).inspected
    if any(finding.check in ("unreadable", "other-format") for finding in content.found):
        raise InvalidInputError("The output is held.")
    return content


def try_json(data: bytes) -> None:
    _read(".json", data)


def try_csv(data: bytes) -> None:
    for table in _read(".csv", data).tables:
        assert all(len(row) == len(table.columns) for row in table.rows)


def try_text(data: bytes) -> None:
    assert _read(".txt", data).texts == (data.decode(),)


def try_png(data: bytes) -> None:
    assert _read(".png", data).found


def try_tensors(data: bytes) -> None:
    content = _read(".safetensors", data)
    assert sum(len(row) for table in content.tables for row in table.rows) <= content.tensor_numbers
