"""Unmodified PySyft code finds its files in the box that a job gets, with a temporary folder standing for `/box`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from datasites.syft_bridge.description import DataSetCard
from datasites.syft_bridge.job_box import BOX, box_files, mock_place, private_place

OWNER = "data-office@hospital.example"
SCRIPT = """
import json
import syft as sy

first = sy.resolve_dataset_file_path("diabetes")
assert first == sy.resolve_dataset_file_path("diabetes", owner_email="data-office@hospital.example")
helpers = sy.load_dataset_code("wards.helpers")
print(json.dumps({
    "first": first.read_text(),
    "diabetes": [path.name for path in sy.resolve_dataset_files_path("diabetes")],
    "wards": sorted(path.name for path in sy.resolve_dataset_files_path("wards")),
    "double": helpers.double(21),
}))
try:
    sy.resolve_dataset_file_path("oncology")
except FileNotFoundError:
    print("no other data set")
"""


def card(name: str, *mock_files: str, **changes: object) -> DataSetCard:
    fields = {"summary": "x", "readme": "# x", "tags": ("a",), "registered_at": 1_700_000_000}
    return DataSetCard(name=name, mock_files=mock_files, **(fields | changes))


def lay_out(root: Path, files: dict[str, bytes]) -> None:
    for place, content in files.items():
        path = root / Path(place).relative_to("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_a_plain_pysyft_script_finds_the_private_files(tmp_path):
    private = {
        ("diabetes", "a.csv"): b"PRIVATE",
        ("wards", "b.csv"): b"2",
        ("wards", "helpers.py"): b"double = 2 .__mul__",
    }
    files = box_files(OWNER, [card("diabetes", "a.csv"), card("wards", "b.csv", "helpers.py")])
    files |= {private_place(OWNER, *where): content for where, content in private.items()}
    files |= {mock_place(OWNER, *where): b"mock" for where in private}
    lay_out(tmp_path, files)
    (tmp_path / "analysis.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "analysis.py"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "SYFTBOX_FOLDER": str(tmp_path / BOX.relative_to("/")),
            "SYFTBOX_EMAIL": OWNER,
            "SYFT_IS_IN_JOB": "true",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    said, refused = done.stdout.splitlines()[-2:]
    assert said == ('{"first": "PRIVATE", "diabetes": ["a.csv"], "wards": ["b.csv", "helpers.py"], "double": 42}')
    assert refused == "no other data set"


def test_every_place_is_below_the_box_and_nothing_tells_of_the_machine():
    files = box_files(OWNER, [card("diabetes", "a.csv")])
    assert all(Path(place).is_relative_to(BOX) for place in files)
    assert str(Path.home()).encode() not in b"".join(files.values())
    assert box_files(OWNER, []) == {}


@pytest.mark.parametrize("name", ["dataset.yaml", "DATASET.yaml", "readme.MD"])
def test_no_data_file_takes_the_name_of_one_of_syfts_own(name):
    with pytest.raises(ValidationError, match="for itself"):
        card("diabetes", name)


def test_no_data_set_is_called_as_a_version_of_syfts_layout():
    with pytest.raises(ValidationError, match="for itself"):
        card("v1", "a.csv")
