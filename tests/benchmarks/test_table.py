"""The benchmark's table and JSON say what the samples say, and label what was not measured now."""

import json
from io import StringIO

import pytest
from rich.console import Console

from tests.benchmarks.table import ROWS, Measured, Recorded, Row, as_json, as_table, chosen_rows, headline

SECONDS = Row("round", "a round", "s", 0.5, "lower", (Recorded("Flower", 6.0, 6.0), Recorded("Other", 2.0, 3.0)))
SPEED = Row("relay", "a blob", "MB/s", 150.0, "higher")


def printed(rows: list[Row], measured: Measured) -> str:
    written = StringIO()
    Console(file=written, width=200).print(as_table(rows, measured))
    return written.getvalue()


def cells(text: str, title: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if title in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_the_median_counts_and_not_the_mean():
    measured = Measured(ours={"round": [0.4, 9.0, 0.3]})
    assert cells(printed([SECONDS], measured), "a round")[1:4] == ["0.4 s", "≤ 0.5 s", "yes"]
    (entry,) = as_json([SECONDS], measured, {})["rows"]
    assert (entry["median"], entry["met"], entry["samples"]) == (0.4, True, [0.4, 9.0, 0.3])


@pytest.mark.parametrize(
    ("row", "value", "met"),
    [(SECONDS, 0.5, True), (SECONDS, 0.501, False), (SPEED, 150.0, True), (SPEED, 149.9, False)],
)
def test_a_goal_is_met_from_its_own_side(row, value, met):
    (entry,) = as_json([row], Measured(ours={row.key: [value]}), {})["rows"]
    assert entry["met"] is met
    assert cells(printed([row], Measured(ours={row.key: [value]})), row.title)[3] == ("yes" if met else "no")


def test_a_missing_peer_is_labelled_recorded_and_a_present_one_measured():
    measured = Measured(ours={"round": [0.5]}, peers={"round": {"Flower": [4.0, 8.0, 5.0]}})
    text = printed([SECONDS], measured)
    assert "Flower: 5 s (measured), 10×" in text
    assert "Other: 2-3 s (recorded), 4-6×" in text
    peers = as_json([SECONDS], measured, {})["rows"][0]["peers"]
    assert (peers["Flower"]["source"], peers["Flower"]["samples"]) == ("measured", [4.0, 8.0, 5.0])
    assert (peers["Other"]["source"], peers["Other"]["low"], peers["Other"]["high"]) == ("recorded", 2.0, 3.0)
    nobody = Measured(ours={"round": [0.5]}, peers={"round": {"Flower": []}})
    assert "Flower: 6 s (recorded)" in printed([SECONDS], nobody)


def test_what_could_not_be_measured_says_why_and_meets_no_goal():
    measured = Measured(missing={"round": "no such module"})
    assert cells(printed([SECONDS], measured), "a round")[1:4] == ["no such module", "≤ 0.5 s", "–"]
    (entry,) = as_json([SECONDS], measured, {"commit": "abc"})["rows"]
    assert (entry["median"], entry["met"], entry["missing"]) == (None, None, "no such module")


def test_an_overhead_below_zero_has_no_ratio():
    assert "×" not in printed([SECONDS], Measured(ours={"round": [-0.01]}))


def test_parts_stand_beside_the_figure_and_the_json_is_plain():
    measured = Measured(ours={"round": [0.4]}, notes={"round": {"local training s": 0.1234, "samples": 7}})
    assert "local training s 0.123" in printed([SECONDS], measured)
    report = as_json([SECONDS, SPEED], measured, {"commit": "abc"})
    assert json.loads(json.dumps(report)) == report
    assert [entry["key"] for entry in report["rows"]] == ["round", "relay"]


def test_every_goal_has_one_row_and_only_recorded_figures_as_defaults():
    assert len({row.key for row in ROWS}) == len(ROWS) == 22
    goals = {"round-1e3": 0.15, "round-1e6": 0.35, "round-1e7": 2, "approval": 1, "start": 12, "memory": 1.5}
    jobs = {"job-warm": 25, "job-cold": 2, "job-whole": 0.5, "file-sync": 1, "file-memory": 10}
    steps = {"mlp": 2.5, "cnn": 1.6, "resnet": 2, "transformer": 1.8, "lora": 1.1, "head": 0.05, "recommender": 2}
    trainer = {f"trainer-{model}": goal for model, goal in steps.items()}
    assert {row.key: row.goal for row in ROWS} == {
        **goals,
        "relay": 150,
        "masking": 2,
        "log": 5,
        "steadiness": 1.2,
        **jobs,
        **trainer,
    }


def test_rows_are_named_one_by_one_or_by_their_first_word():
    assert chosen_rows("start,job-warm") == {"start", "job-warm"}
    assert chosen_rows("round") == {"round-1e3", "round-1e6", "round-1e7"}
    assert len(chosen_rows("trainer")) == 7
    with pytest.raises(ValueError, match="no such row: trainers"):
        chosen_rows("start,trainers")


def test_the_slower_direction_and_quantising_with_masking_are_what_goals_are_about():
    assert (
        headline("relay", {"large blob up, MB/s": 300.0, "large blob down, MB/s": 200.0, "small blob up, MB/s": 9.0})
        == 200.0
    )
    figures = {
        "site: quantise and mask / floor": 1.7,
        "site: masks alone / floor": 1.1,
        "site: quantise and mask": 0.01,
    }
    assert headline("masking", figures) == 1.7
    assert headline("log", {"verify s": 3.2, "bundle MB": 5.1}) == 3.2
    assert headline("relay", {"something": 1.0}) is None
