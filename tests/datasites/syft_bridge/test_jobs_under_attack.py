"""A hostile request becomes neither markup, nor a path, nor anything that runs."""

import os
import stat

import pytest
from syft_job import SyftJobRunner

from datasites.syft_bridge.jobs import ALLOWED_FILES, set_status
from policies.errors import ConflictError, InvalidInputError

DIGEST = "ab" * 32
FILES = {"source.py": b"class Plan:\n    rounds = 3\n", "terms.json": b'{"rounds":3}'}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def test_a_file_swapped_for_a_link_is_noticed(place):
    place.record()
    (job,) = place.upstream_jobs()
    (job.code_dir / "terms.json").unlink()
    (job.code_dir / "terms.json").symlink_to(place.private)
    with pytest.raises(ConflictError, match="other contents"):
        place.record()


def test_upstreams_runner_gets_nothing_to_run(place, tmp_path, capsys):
    trace = tmp_path / "ran"
    place.record(files={"source.py": f"open({str(trace)!r}, 'w')".encode(), "terms.json": b"{}"})
    (job,) = place.upstream_jobs()
    for path in (job.job_submission_path / "run.sh", *job.code_dir.iterdir()):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o111
    set_status(place.folder, DIGEST, "approved")
    # Root may write anything; for anybody else the runner stops at the read-only state already.
    (job.job_review_path / "state.yaml").chmod(0o600)
    SyftJobRunner(place.folder.job_config()).process_approved_jobs(stream_output=False)
    (job,) = place.upstream_jobs()
    assert job.status == "failed"
    assert not trace.exists()
    assert "Cloister runs approved requests itself" in (job.job_review_path / "stderr.txt").read_text()
    capsys.readouterr()


@pytest.mark.parametrize(
    "text", [HOSTILE, "../../../etc/passwd", "v1", "$(touch x)\n`id`", "a: [b, {c: !!python/x d}]"]
)
def test_hostile_title_and_name_become_neither_markup_nor_path(place, tmp_path, text):
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(place.folder.box.parent)}
    place.record(title=text, researcher_name=text, files=FILES | {"source.py": f"# {text}\n".encode()})
    (job,) = place.upstream_jobs()
    assert (job.job_headers["title"], job.job_headers["researcher"]) == (text, text)
    assert all(char.isalnum() or char in "-." for char in job.submitted_by.removesuffix("@researcher.invalid"))
    assert job.job_submission_path.resolve().is_relative_to(place.folder.box.resolve())
    for page in place.pages():
        assert "<script" not in page
        assert "<img" not in page
    assert text not in job.run_script
    for path in place.folder.box.rglob("*"):
        assert all(char.isalnum() or char in "-_.@" for char in path.name), path
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(place.folder.box.parent)} == before


def test_names_that_look_alike_stay_apart(place):
    place.record("01" * 32, researcher_name="Ada Lovelace")
    place.record("02" * 32, researcher_name="ada—LOVELACE")
    place.record("03" * 32, researcher_name="王小明")
    one, two, three = {job.name: job.submitted_by for job in place.upstream_jobs()}.values()
    assert len({one, two, three}) == 3


@pytest.mark.parametrize(
    "name",
    ["../evil.py", "/etc/cron.d/x", "run.sh", "config.yaml", "<b>.py", "main.py", "source.py\x00", "sub/source.py"],
)
def test_a_hostile_file_name_is_refused(place, name):
    with pytest.raises(InvalidInputError, match="A job holds"):
        place.record(files=FILES | {name: b"x"})
    assert not place.folder.box.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"files": {}},
        {"files": {"terms.json": b"{}"}},
        {"files": {"source.py": b"\xff\xfe"}},
        {"files": {"source.py": b" " * (16 * 1024 * 1024 + 1)}},
        {"title": ""},
        {"title": "x" * 201},
        {"title": "\u202egnp.exe"},
        {"title": "bell\x07"},
        {"researcher_name": "\ud800"},
        {"researcher_name": ""},
        {"received_at": -1},
        {"digest": "AB" * 32},
        {"digest": "../" * 20 + "abcd"},
        {"digest": "ab" * 32 + "\n"},
    ],
    ids=[
        "no files", "no source", "not UTF-8", "too large", "no title", "long title", "turned title", "bell",
        "surrogate", "no name", "before 1970", "capitals", "path", "newline",
    ],
)  # fmt: skip
def test_what_is_not_as_described_is_refused_before_anything_is_written(place, change):
    with pytest.raises(InvalidInputError):
        place.record(**change)
    assert not place.folder.box.exists()


def test_everything_in_the_box_is_for_the_owner_alone(place):
    old = os.umask(0)
    try:
        place.publish()
        place.record()
    finally:
        os.umask(old)
    assert stat.S_IMODE(place.folder.box.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.folder.private_root.stat().st_mode) == 0o700


def test_the_allow_list_is_of_plain_names():
    assert all(name.replace("_", "").replace(".", "").isalpha() for name in ALLOWED_FILES)
