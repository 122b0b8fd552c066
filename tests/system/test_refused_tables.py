"""Tables and manifests that cannot be, typed in: refused by row, column or field, and no cell is shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CLINIC, HEADER
from tests.demo.commands import CommandFailedError, datasite
from tests.site_folder import rows as visits
from tests.system.waiting import content

PROBLEMS = "The table does not agree with its manifest. Mend these problems:\n"
PEOPLE = visits(100, first=7000)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `home` is a datasite with one data set, `clinic-a`, at ε=5."""
    folder = tmp_path_factory.mktemp("clinic")
    passphrase = folder / "passphrase"
    passphrase.write_text("three wards and a garden\n")
    passphrase.chmod(0o600)
    datasite("init", "--name", "Clinic A", "--relay", "http://127.0.0.1:9", "--contact", "owner@clinic-a.example",
             "--home", folder / "home", "--key-folder", folder / "owner", "--passphrase-file", passphrase)  # fmt: skip
    add(folder, "clinic-a", HEADER + "\n".join(visits(100)))
    return folder


def add(clinic: Path, name: str, table: str, manifest: str = CLINIC, epsilon: str = "5") -> Any:
    """`datasite data add`."""
    files = clinic / "manifest.toml", clinic / "table.csv"
    for file, text in zip(files, (manifest.replace('"clinic-a"', f'"{name}"'), table), strict=True):
        file.write_text(text)
    return datasite("data", "add", *files, "--epsilon", epsilon, "--home", clinic / "home")


def refusal(act: Callable[[], object]) -> tuple[int, str]:
    """With which exit code and sentence a command failed."""
    with pytest.raises(CommandFailedError) as caught:
        act()
    return caught.value.code, caught.value.sentence


def everything(home: Path) -> Any:
    """All that a datasite keeps: its database's rows, and its files."""
    files = (path for path in home.rglob("*") if path.is_file() and not path.name.startswith("datasite.sqlite"))
    return content(home / "datasite.sqlite"), {path: path.read_bytes() for path in files}


def with_cells(*cells: tuple[int, int, str]) -> str:
    """The table of `PEOPLE` with other cells, each given by row of the file, place in the row and text."""
    rows = [row.split(",") for row in PEOPLE]
    for row, place, text in cells:
        rows[row - 2][place] = text
    return HEADER + "\n".join(map(",".join, rows))


WRONG_TABLES = {
    "wrong cells": (
        with_cells((9, 3, "tomato"), (11, 1, "forty-two"), (13, 1, "42.625"), (17, 2, "NaN"), (19, 2, "1e999"),
                   (23, 1, "97713"), (29, 2, ""), (31, 0, ""), (37, 0, "  ")),
        PROBLEMS + "  row 9: column 'blood' is not one of the declared categories or levels\n"
        "  row 11: column 'age' is not a decimal number\n"
        "  row 13: column 'age' is not a whole number\n"
        "  row 17: column 'pressure' is not a decimal number\n"
        "  row 19: column 'pressure' is outside the declared bounds 60.0 to 220.0\n"
        "  row 23: column 'age' is outside the declared bounds 18 to 98\n"
        "  row 29: column 'pressure' is empty\n"
        "  row 31: the privacy unit is empty, longer than 200, or holds invisible characters\n"
        "  row 37: the privacy unit is empty, longer than 200, or holds invisible characters",
    ),
    "an empty file": ("", PROBLEMS + "  row 1: the file is empty; a header and rows are expected"),
    "no rows": (HEADER, PROBLEMS + "  row 1: the header is followed by no rows"),
    "an unknown column": (
        HEADER.replace("age", "age,serology") + "\n".join(row.replace(",", ",positive,", 1) for row in PEOPLE),
        PROBLEMS + "  row 1: column 3 of the header is not in the manifest; remove or declare it",
    ),
    "a column too few": (
        HEADER.replace(",ill", "") + "\n".join(row.rpartition(",")[0] for row in PEOPLE),
        PROBLEMS + "  row 1: column 'ill' of the manifest is missing",
    ),
    "a row cut short": (
        HEADER + "\n".join([*PEOPLE, "p7999,44"]),
        PROBLEMS + "  row 102: does not have 5 fields; check commas and quotes",
    ),
    "49 people, many visits": (
        HEADER + "\n".join([row for row in PEOPLE[:49] for _ in range(3)]),
        "The table has fewer than 50 units, too few to hide anybody among them.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", WRONG_TABLES)
def test_a_table_that_disagrees_is_refused_without_its_cells(clinic: Path, table: str) -> None:
    text, sentence = WRONG_TABLES[table]
    before = everything(clinic / "home")
    assert refusal(lambda: add(clinic, "clinic-n", text)) == (2, sentence)
    cells = {cell for line in text.splitlines()[1:] for cell in line.split(",")} | {"serology"}
    assert not [cell for cell in cells if len(cell) > 4 and cell in sentence]
    assert everything(clinic / "home") == before


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("maximum = 98", "maximum = 12", "columns.0"),
        ("minimum = 60.0", "minimum = nan", "manifest"),
        ('target = "ill"', 'target = "sick"', "target is not one of the columns"),
        ("nominal_units = 100", "nominal_units = 1000", "declare the right order of size"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_by_its_field(clinic: Path, old: str, new: str, names: str) -> None:
    before = everything(clinic / "home")
    code, sentence = refusal(lambda: add(clinic, "clinic-n", with_cells(), CLINIC.replace(old, new, 1)))
    assert (code, sentence.count("\n")) == (2, 0)
    assert names in sentence
    assert everything(clinic / "home") == before


def test_the_same_people_under_another_name_share_one_budget_and_no_other(clinic: Path) -> None:
    first = datasite("budget", "--home", clinic / "home")[0]
    respelled = HEADER + "\n".join(f" {row.replace(',', ' ,', 1)}" for row in reversed(visits(100)))
    before = everything(clinic / "home")
    assert refusal(lambda: add(clinic, "clinic-b", respelled, epsilon="6")) == (
        3,
        "People of this table have a lifetime budget of ε=5 already, and a budget never changes: register it with "
        "--epsilon 5, and it draws on the same budget.",
    )
    assert everything(clinic / "home") == before
    assert add(clinic, "clinic-b", respelled)["population"] == first["population"]
    (shared,) = datasite("budget", "--home", clinic / "home")
    assert shared == {**first, "data_sets": ["clinic-a", "clinic-b"]}
