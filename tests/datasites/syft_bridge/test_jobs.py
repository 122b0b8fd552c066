"""A recorded request is one frozen job in PySyft's own views, in step with the database."""

from typing import get_args

import pytest

from datasites.protocol.status_names import StudyStatusName
from datasites.requests.records import Status
from datasites.syft_bridge.jobs import job_name, set_status
from datasites.syft_bridge.views import jobs_view
from policies.errors import ConflictError, InvalidInputError

DIGEST = "ab" * 32
FILES = {"source.py": b"class Plan:\n    rounds = 3\n", "terms.json": b'{"rounds":3}'}


def test_the_owner_sees_one_pending_job(place):
    name = place.record()
    (job,) = place.upstream_jobs()
    assert (job.name, job.status, job.datasite_owner_email) == (name, "pending", place.folder.owner_email)
    assert job.submitted_by.startswith("ada-lovelace-")
    assert job.submitted_by.endswith("@researcher.invalid")
    assert job.code == FILES["source.py"].decode()
    assert job.job_headers == {"request": DIGEST, "title": "Risk of readmission", "researcher": "Ada Lovelace"}
    assert job.submitted_at == "2023-11-14T22:15:00+00:00"
    assert {path.name: path.read_bytes() for path in job.code_dir.iterdir()} == FILES
    client = jobs_view(place.folder)
    assert client.validate_submission(job.job_submission_path) == (True, "")
    assert client.jobs[name].status == "pending"
    listing, page = place.pages()
    assert name in listing
    assert "PENDING" in listing
    assert name in page
    assert "rounds" in page


@pytest.mark.parametrize(
    ("ours", "syfts"),
    [
        ("pending", "pending"),
        ("approved", "approved"),
        ("denied", "rejected"),
        ("running", "running"),
        ("done", "done"),
        ("failed", "failed"),
        ("expired", "failed"),
        ("closed", "failed"),
    ],
)
def test_the_status_is_kept_in_step(place, walk, ours, syfts):
    place.record()
    set_status(place.folder, DIGEST, ours)
    (job,) = place.upstream_jobs()
    assert job.status == syfts
    assert job.approval_method == ("cloister" if ours in ("approved", "running", "done") else None)
    assert "Cloister decides" in job.review_reason
    assert all(syfts.upper() in page for page in place.pages())
    before = walk(place.folder.box)
    set_status(place.folder, DIGEST, ours)
    assert walk(place.folder.box) == before


def test_every_status_of_the_database_can_be_shown():
    assert {status.value for status in Status} <= set(get_args(StudyStatusName))


def test_recording_again_changes_no_byte_and_keeps_the_status(place, walk):
    name = place.record()
    set_status(place.folder, DIGEST, "running")
    before = walk(place.folder.box)
    assert place.record() == name
    assert walk(place.folder.box) == before
    assert place.statuses() == ["running"]


@pytest.mark.parametrize(
    "change",
    [
        {"files": FILES | {"source.py": b"import os"}},
        {"files": FILES | {"loss_program.json": b"{}"}},
        {"title": "Another title"},
        {"researcher_name": "Mallory"},
        {"received_at": 5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_job_never_changes(place, walk, change):
    place.record()
    before = walk(place.folder.box)
    with pytest.raises(ConflictError, match="other contents"):
        place.record(**change)
    assert walk(place.folder.box) == before


def test_two_requests_are_two_jobs_even_with_one_title(place):
    place.record("01" * 32)
    place.record("02" * 32, received_at=1_700_000_200)
    assert [job.name for job in place.upstream_jobs()] == [job_name("02" * 32), job_name("01" * 32)]


def test_status_of_an_unknown_request_and_unknown_status(place):
    with pytest.raises(ConflictError, match="record the request first"):
        set_status(place.folder, DIGEST, "approved")
    place.record()
    with pytest.raises(InvalidInputError, match="no other status"):
        set_status(place.folder, DIGEST, "rejected")
    with pytest.raises(InvalidInputError, match="64 hexadecimal"):
        set_status(place.folder, "../" + DIGEST, "approved")


def test_nothing_is_printed(place, capfd):
    place.publish()
    place.record()
    for status in get_args(StudyStatusName):
        set_status(place.folder, DIGEST, status)
    jobs_view(place.folder)
    assert capfd.readouterr() == ("", "")
