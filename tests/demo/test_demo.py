"""The demo does what it says: run once, as a newcomer would, and everything that it claims is looked at."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.log.verify import Pinned, verify_bundle
from tests.demo.commands import environment
from tests.demo.hospitals import UNITS, share_out

OWNERS_PAGE = Path(__file__).parents[2] / "docs" / "data-owner.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo.run", str(folder / "out")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (folder / "out" / "printed.txt").write_text(done.stdout)
    return folder / "out"


@pytest.fixture(scope="module")
def report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


def test_every_party_is_a_process_with_folder_keys_and_database_of_its_own(folder, report):
    assert set(report["processes"]) == {"relay", "researcher", *UNITS}
    assert len(set(report["processes"].values())) == 5
    keys = {(folder / name / "datasite" / "keys" / "signing.pem").read_bytes() for name in UNITS}
    owners = {(folder / name / "owner" / "key.pem").read_bytes() for name in UNITS}
    databases = {(folder / name / "datasite" / "datasite.sqlite").stat().st_ino for name in UNITS}
    assert len(keys) == len(owners) == len(databases) == 3


def test_the_hospitals_shares_are_disjoint_unequal_and_skewed():
    hospitals, kept = share_out()
    everybody = [name for patients in (*hospitals.values(), kept) for name in patients.identifiers]
    assert len(everybody) == len(set(everybody)) == 569
    sizes = [len(patients.target) for patients in hospitals.values()]
    radii = [patients.features[:, 0].mean() for patients in hospitals.values()]
    assert len(set(sizes)) == 3
    assert radii[0] > radii[1] > radii[2]


def test_the_model_is_worth_having(report):
    assert report["exact"][-1] >= 0.90


def test_nothing_ran_before_the_approvals(folder):
    printed = " ".join((folder / "printed.txt").read_text().split())
    assert "A run before the approvals is refused" in printed
    assert "The study is not approved here, it is pending" in printed
    for name in UNITS:
        lines = (folder / name / "log-bundle").read_bytes().splitlines()
        decision = next(place for place, line in enumerate(lines) if b'"kind":"decision-taken"' in line)
        ran = [
            place for place, line in enumerate(lines) if b'"kind":"charge-made"' in line or b"round-computed" in line
        ]
        assert decision < min(ran)


def test_the_demo_uses_public_names_only():
    inside = re.compile(r"^\s*(?:from|import) (?:datasites|policies|researcher\.)", re.MULTILINE)
    for path in Path(__file__).parent.glob("*.py"):
        if not path.name.startswith("test_"):
            assert not inside.findall(path.read_text()), path


def test_each_owner_was_shown_what_it_approved(report):
    digests = {shown["approval_digest"] for shown in report["shown"].values()}
    assert len(digests) == 3
    for shown in report["shown"].values():
        assert shown["status"] == "pending"
        assert shown["obstacles"] == []
        assert shown["terms"]["privacy"] == {"epsilon": 3, "delta": 1e-6}
        assert shown["terms"]["secure_averaging"]["minimum_cohort"] == 3
        assert shown["terms"]["secure_averaging"]["colluders"] == 1
        assert 2.9 < shown["epsilon"] <= 3
        assert shown["terms"]["training"]["retries"] == 1
        assert "class TumourPlan" in shown["source"]


def test_the_second_study_does_not_fit_the_budget(folder, report):
    for sentence in report["second_study"].values():
        assert sentence.startswith("exit code 3: Request 2 cannot be approved: This request does not fit")
    assert "does not fit our patients' privacy budget" in (folder / "researcher" / "second-refused").read_text()


def test_every_hospital_was_charged_the_same_and_nothing_stays_reserved(report):
    for budget in report["budgets"].values():
        for partition in ("training", "evaluation"):
            assert 0.05 < budget[partition]["spent"] < 0.5
            assert 2 < budget[partition]["epsilon_estimate"] < 3, "a retry was reserved, and not needed"
            assert budget[partition]["reserved"] == 0


def test_the_researcher_sees_a_curve(folder, report):
    assert set(report["results"]["metrics"]) == {"0", "6", "12"}
    assert (folder / "researcher" / "holdout.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_logs_prove_it_and_a_changed_one_does_not(folder, report):
    for name, verified in report["verified"].items():
        assert verified["broken"] == []
        assert len(verified["proved"]) >= 7
        bundle = (folder / name / "log-bundle").read_bytes()
        assert verify_bundle(bundle.replace(b'"round 7"', b'"round 8"', 1), Pinned()).broken


def test_every_witness_cosigned_every_log_and_every_round_is_proved(report):
    for name, verified in report["verified"].items():
        for witness in ("dr-ada-lindqvist", *(set(UNITS) - {name})):
            assert any(f"«{witness}» cosigned a checkpoint" in sentence for sentence in verified["proved"])
        receipt = report["receipts"][name]
        assert receipt["broken"] == []
        assert any("each site of the cohort once" in sentence for sentence in receipt["proved"])
        assert any("cosigned" in sentence for sentence in receipt["proved"])
    assert report["model_receipt"]["broken"] == []
    assert "came from exactly these 3 approvals" in report["model_receipt"]["proved"][-1]


def test_the_relay_is_left_with_nothing_readable(folder):
    kept = b"".join(path.read_bytes() for path in (folder / "relay").rglob("*") if path.is_file())
    for word in (b"patient-0", b"TumourPlan", b"malignant", b"mean radius", b"second opinion", b"cloister-terms"):
        assert word not in kept


def test_the_review_on_the_owners_page_is_what_the_demo_prints(folder):
    """But for the line breaks, which are the terminal's."""
    (review,) = re.findall(r"^```text\n(Request 1: .*?)^```", OWNERS_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    printed = " ".join((folder / "printed.txt").read_text().split())
    for paragraph in review.split("\n\n"):
        assert " ".join(paragraph.split()) in printed
