"""P3, outputs made to stop the inspection: each is held, and none takes it down unseen."""

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from datasites.inspection.content import Content
from datasites.inspection.formats import read_output
from datasites.inspection.question import PrivateData, Question
from policies.disclosure.findings import believed
from policies.disclosure.rules import DisclosureRules
from tests.attacks.test_p3_outputs import png
from tests.one_inspection import patients


def _read(tmp_path: Path, name: str, content: bytes) -> Content:
    (tmp_path / name).write_bytes(content)
    return read_output(name, tmp_path / name)


def _reasons(content: Content) -> list[str]:
    return [finding.reason for finding in content.found if finding.check == "unreadable"]


def _parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(table, sink, **options)
    return sink.getvalue()


def _png_of(width: int, height: int) -> bytes:
    plain = png()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return plain[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("deep.json", b"[" * 100_000 + b"]" * 100_000, "limits"),
        ("deep-objects.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "limits"),
        ("70-levels.json", b"[" * 70 + b"]" * 70, "limits"),
        ("many.json", json.dumps([0] * 300_000).encode(), "limits"),
        ("digits.json", b"1" * 5_000, "damaged"),
        ("twice.json", b'{"a": 1, "a": 2}', "damaged"),
        ("half.json", b'{"a": 1', "damaged"),
        ("latin.txt", "Grüße".encode("latin-1"), "damaged"),
        ("control.txt", b"a\x00b", "damaged"),
        ("line.csv", b"a,b\n" + b"1" * 200_000 + b",2\n", "limits"),
        ("cells.csv", b"a,b\n" + b"1,2\n" * 150_000, "limits"),
        ("wide.csv", b"a\n" * 2000 + b"," * 2000 + b"\n", "limits"),
        ("quotes.csv", b'a,b\n"1,2\n', "damaged"),
        ("points.png", _png_of(40_000, 40_000), "limits"),
        ("half.png", png()[:40], "damaged"),
        ("tensor.safetensors", b"\xff" * 16, "damaged"),
        ("not.parquet", b"PAR1" + bytes(100) + b"PAR1", "damaged"),
    ],
)
def test_what_is_too_much_or_damaged_is_held_with_a_reason(tmp_path, name, content, reason):
    began = time.monotonic()
    assert _reasons(_read(tmp_path, name, content)) == [reason]
    assert time.monotonic() - began < 5


def test_a_line_of_300_megabytes_is_not_even_read(tmp_path):
    with (tmp_path / "line.csv").open("wb") as file:
        file.truncate(300_000_000)
    assert _reasons(read_output("line.csv", tmp_path / "line.csv")) == ["limits"]


def test_a_png_that_unpacks_to_more_than_it_shows_is_told(tmp_path):
    body = zlib.compress(bytes(50_000_000), 9)
    bomb = png().replace(
        png()[33:-12], struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    )
    found = {finding.check for finding in _read(tmp_path, "bomb.png", bomb).found}
    assert found == {"image", "extra"}


def test_a_parquet_bomb_is_held(tmp_path):
    """A hundred bytes, ten million times: a gigabyte in a small file."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000_000, np.int8)), pa.array(["x" * 100]))
    content = _parquet(pa.table({"a": column}))
    assert len(content) < 200_000
    assert _reasons(_read(tmp_path, "bomb.parquet", content)) == ["limits"]


def test_a_parquet_file_that_lies_about_its_rows_is_held(tmp_path):
    honest = _parquet(pa.table({"a": list(range(100))}))
    start = len(honest) - 8 - int.from_bytes(honest[-8:-4], "little")
    hundred, more = b"\x16\xc8\x01", b"\x16\xac\x02"  # as the footer spells 100 and 150
    lying = honest[:start] + honest[start:].replace(hundred, more, 1)
    assert parquet.read_metadata(io.BytesIO(lying)).num_rows == 150
    assert _reasons(_read(tmp_path, "lying.parquet", lying)) == ["damaged"]


def test_a_parquet_file_that_carries_more_than_its_table_is_told(tmp_path):
    table = pa.table({"a": [1.0, 2.0]})
    noted = _parquet(table.replace_schema_metadata({"notes": "x" * 50_000}))
    assert {it.check for it in _read(tmp_path, "a.parquet", noted).found} == {"extra"}
    plain = _parquet(table)
    start = len(plain) - 8 - int.from_bytes(plain[-8:-4], "little")
    gap = plain[:start] + bytes(1000) + plain[start:]
    assert parquet.read_table(io.BytesIO(gap)) == table, "readers pass over it"
    assert {it.check for it in _read(tmp_path, "b.parquet", gap).found} == {"extra"}
    assert not _read(tmp_path, "c.parquet", _parquet(table)).found
    assert not _read(tmp_path, "d.parquet", _from_pandas()).found
    assert not _read(tmp_path, "e.parquet", _parquet(table, write_page_index=True)).found
    assert _read(tmp_path, "f.parquet", gap).values >= len(gap) // 96, "what it has beside is counted, too"


def _from_pandas() -> bytes:
    sink = io.BytesIO()
    patients().groupby("sex").mean(numeric_only=True).to_parquet(sink)
    return sink.getvalue()


def test_a_dying_inspection_leaves_nothing_that_looks_clean(tmp_path):
    """The errand's own `main`, killed by its memory limit in the middle: nothing is written, so all is held."""
    question = Question(
        outputs=("a.json",),
        declared=("a.json",),
        rules=DisclosureRules(),
        data_sets=(PrivateData(data_set="d", files=("data.csv",)),),
    )
    (tmp_path / "question.json").write_bytes(question.canonical())
    for folder in ("outputs", "private/d", "findings"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "outputs/a.json").write_text('{"a": 1}')
    patients().to_csv(tmp_path / "private/d/data.csv")
    findings = tmp_path / "findings/findings.json"

    def run(before: str) -> int:
        code = f"""
import sys, os
from pathlib import Path
from datasites.inspection import main
folder = Path(sys.argv[1])
main.QUESTION, main.OUTPUTS = folder / "question.json", folder / "outputs"
main.PRIVATE, main.FINDINGS = folder / "private", folder / "findings/findings.json"
{before}
main.main()
"""
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], check=False, stderr=subprocess.DEVNULL
        ).returncode

    assert run("import datasites.inspection.inspect_outputs as it; it.compare_likeness = lambda *_: os.abort()") != 0
    assert not findings.exists()
    assert not believed(None, ["a.json"]).clean
    assert run("") == 0
    assert believed(findings.read_bytes(), ["a.json"]).clean
    assert not believed(findings.read_bytes(), ["a.json", "b.json"]).clean, "an output that was not inspected"
    assert not believed(findings.read_bytes()[:-1], ["a.json"]).clean


def test_a_large_private_table_is_read_in_flat_memory(tmp_path):
    """50 MB of CSV: what the inspection takes grows by far less."""
    random = np.random.default_rng(0)
    piece = pd.DataFrame(random.normal(size=(100_000, 6)).round(6), columns=list("abcdef"))
    path = tmp_path / "private/d/data.csv"
    path.parent.mkdir(parents=True)
    for number in range(8):
        piece.to_csv(path, mode="a", header=number == 0, index=False)
    assert path.stat().st_size > 40_000_000
    code = f"""
import resource
from pathlib import Path
from datasites.inspection.private_tables import private_tables
from datasites.inspection.survey import survey
(table,) = private_tables(Path({str(path)!r}))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
records = survey(table, [], set(), None, []).records
print(records, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    records, grown = map(int, ran.stdout.split())
    assert records == 800_000
    assert grown < 60, f"{grown} MB"
