"""Findings: every kind is read back, says something to a person, and nothing but a whole inspection is believed."""

import pytest

from policies.disclosure import content_findings as content
from policies.disclosure import file_findings as files
from policies.disclosure.finding_parts import as_label
from policies.disclosure.findings import MAXIMUM_FINDINGS, Findings, believed, collect, parse_findings
from policies.errors import InvalidInputError

GROUP = {"output": "a.csv", "rows": 3, "minimum": 10}
ALL = (
    files.Unfinished(),
    files.Undeclared(output="other.csv"),
    files.LeftOut(what="2 links"),
    files.TooLarge(size=2_000_000, most=1_000_000),
    files.OtherFormat(output="model.pkl"),
    files.Unreadable(output="a.json", reason="limits"),
    files.Unreadable(output="a.json", reason="damaged"),
    files.UnreadData(severity="note", file="README.md"),
    files.Image(output="plots/a.png", width=640, height=480),
    files.Extra(output="plots/a.png", bytes=4000),
    content.SmallCounts(**GROUP, severity="note", column="n", smallest=2),
    content.SmallCounts(**GROUP, severity="hold", column="n", smallest=2),
    content.SmallGroups(**GROUP, columns=("sex", "age", "region"), smallest=1),
    content.Dominance(output="a.csv", columns=("income",), rows=1, contributors=1, share=0.81, most=0.5),
    content.Dominance(output="a.csv", columns=("income",), rows=1, contributors=2, share=0.91, most=0.85),
    content.RecordRows(output="a.csv", rows=4, cells=12),
    content.RareCombinations(**GROUP, columns=("age", "zip")),
    content.CopiedColumn(output="a.csv", column="loss", private_column="income", values=40, minimum=10),
    content.Identifiers(output="stdout.txt", private_column="patient", found=2),
    content.TooManyValues(values=7000, records=569, most=568),
    content.OpaqueText(output="a.json", longest=90_000, most=100),
    content.LargeTensors(numbers=100_000, cells=17_000, most=0.1),
)


def test_every_kind_is_read_back_and_speaks_in_sentences():
    findings = collect(["a.csv"], ALL)
    assert parse_findings(findings.canonical()) == findings
    for finding in findings.found:
        assert finding.sentence.endswith(".")
        assert "_" not in finding.sentence
        assert len(finding.sentence) < 500


def test_holds_come_first_and_only_they_hold():
    findings = collect(["a.csv"], ALL)
    severities = [finding.severity for finding in findings.found]
    assert severities == sorted(severities)
    assert not findings.clean
    assert collect(["a.csv"], [finding for finding in ALL if finding.severity == "note"]).clean


def test_more_than_are_listed_are_counted_and_never_clean():
    notes = [files.UnreadData(severity="note", file=f"{number}.md") for number in range(MAXIMUM_FINDINGS + 5)]
    findings = collect(["a.csv"], notes)
    assert (len(findings.found), findings.more) == (MAXIMUM_FINDINGS, 5)
    assert not findings.clean


@pytest.mark.parametrize(
    "change",
    [
        (b'"hold"', b'"note"'),
        (b'"image"', b'"harmless"'),
        (b'"a.csv"', b'"../a.csv"'),
        (b'"a.csv"', b'".hidden"'),
        (b'"more":0', b'"more":-1'),
        (b'"output":null', b'"output":"a.csv"'),
    ],
)
def test_what_the_schema_does_not_say_is_not_believed(change):
    written = collect(
        ["a.csv"], [files.Image(output="a.csv", width=1, height=1), files.LeftOut(what="1 link")]
    ).canonical()
    assert change[0] in written
    changed = written.replace(*change)
    with pytest.raises(InvalidInputError):
        parse_findings(changed)
    assert not believed(changed, ["a.csv"]).clean


def test_only_findings_on_all_outputs_are_believed():
    good = collect(["a.csv", "stdout.txt"], [])
    assert believed(good.canonical(), ["stdout.txt", "a.csv"]).clean
    for written, outputs in (
        (None, ["a.csv"]),
        (b"", []),
        (good.canonical()[:-1], ["a.csv", "stdout.txt"]),
        (good.canonical(), ["a.csv"]),
        (good.canonical(), ["a.csv", "stdout.txt", "b.csv"]),
        (Findings(inspected=(), found=(), more=0).canonical(), ["a.csv"]),
    ):
        findings = believed(written, outputs)
        assert [finding.check for finding in findings.found] == ["unfinished"]
        assert not findings.clean


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("age", "age"),
        ("  two   words\n", "two words"),
        ("", "(no name)"),
        ("\u202e", "\ufffd"),
        ("x" * 100, "x" * 59 + "…"),
        ("a\x00b\u200bc", "a\ufffdb\ufffdc"),
    ],
)
def test_any_name_can_be_shown(name, shown):
    assert as_label(name) == shown
    assert content.Identifiers(output="a", private_column=as_label(name), found=1).sentence
