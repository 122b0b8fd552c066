"""Names that researchers choose: what fits, and that nothing which fits leaves a folder or is markup."""

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from policies.jobs.names import DataFileName, Email, FilePath, FileSetName, JobName


def accepted(kind: Any, value: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("path", ["main.py", "a/b/c.py", "_x-1.tar.gz", "a" * 100, "/".join("abcdefgh")])
def test_plain_paths_fit(path: str) -> None:
    assert accepted(FilePath, path)


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../b", "a/./b", "./a", "a//b", "a/", "a\\b", ".hidden", "a/.hidden", "-rf",
        "a b", "a\n", "a\0b", "C:x", "ä.py", "e\u0301.py", "a\u202eyp.", "ａ.py", "a" * 101, "/".join("abcdefghi"),
        "a/" * 60 + "a" * 90, "<b>", "[bold]", "~/x", "$HOME",
    ],
)  # fmt: skip
def test_no_other_path_fits(path: str) -> None:
    assert not accepted(FilePath, path)


@given(st.text(max_size=40) | st.text(alphabet="ab._-/\\ \n", max_size=40))
def test_a_path_that_fits_stays_below_the_folder_it_is_put_into(path: str) -> None:
    if not accepted(FilePath, path):
        return
    parts = PurePosixPath("/job") / path
    assert str(parts) == f"/job/{path}"
    assert ".." not in parts.parts
    assert all(not part.startswith((".", "-")) for part in path.split("/"))
    assert path.isascii()


@pytest.mark.parametrize("name", ["count visits", "A", "v1x", "x v1", "2024_report-3.b", "a" * 100])
def test_plain_job_names_fit(name: str) -> None:
    assert accepted(JobName, name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " a",
        "a ",
        "v1",
        "v007",
        ".a",
        "<script>",
        "a&b",
        "a/b",
        "a\tb",
        "a\nb",
        "[red]a",
        "naïve",
        "a" * 101,
        "a\u00a0b",
    ],
)
def test_no_other_job_name_fits(name: str) -> None:
    assert not accepted(JobName, name)


@pytest.mark.parametrize("name", ["visits", "Visits-2.csv", "a" * 63])
def test_plain_names_of_sets_fit(name: str) -> None:
    assert accepted(FileSetName, name)


@pytest.mark.parametrize("name", ["", "v1", "a b", "../a", "a/b", "-a", "_a", "a" * 64, "vísits"])
def test_no_other_name_of_a_set_fits(name: str) -> None:
    assert not accepted(FileSetName, name)


@pytest.mark.parametrize("name", ["dataset.yaml", "README.md", "Private_Metadata.yaml", "SYFT.pub.yaml", "a/b", ".a"])
def test_a_data_file_is_never_called_as_a_file_of_pysyft(name: str) -> None:
    assert not accepted(DataFileName, name)
    assert accepted(DataFileName, "visits.csv")


@pytest.mark.parametrize("address", ["ada@uni.example", "a.b+c_d-e@x.y.z"])
def test_addresses_fit(address: str) -> None:
    assert accepted(Email, address)


@pytest.mark.parametrize(
    "address",
    ["ada", "ada@uni", "@uni.example", "a@b@c.d", "a da@uni.example", "ada@uni.example\n", "<ada@uni.example>", "a@.b",
     "ada@uni..example", "../ada@uni.example", "a" * 65 + "@uni.example", "ädä@uni.example"],
)  # fmt: skip
def test_nothing_else_is_an_address(address: str) -> None:
    assert not accepted(Email, address)
