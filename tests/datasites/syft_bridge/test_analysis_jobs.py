"""A submitted job in PySyft's own views: exactly its files, frozen, and of its outputs the released ones."""

from dataclasses import replace

import pytest

from datasites.syft_bridge.analysis_jobs import ShownJob, show_job, show_outputs, unaccepted_address
from policies.errors import ConflictError, InvalidInputError
from policies.jobs.release import OutputFact
from policies.jobs.terms import CODE_FILE_DOMAIN, CodeFile, JobLimits, JobTerms
from policies.statements.digests import digest

ADA = "ada@lab.example"
CODE = {"lib/help.py": b"x = 1\n", "main.py": b"import lib.help\n# <script>alert(1)</script>\n", "raw.bin": b"\0\xff"}
TERMS = JobTerms(
    version="cloister-job/1",
    job="a" * 32,
    name="count visits",
    researcher="b" * 64,
    site="c" * 64,
    data_sets=("visits",),
    entrypoint="main.py",
    code=tuple(
        CodeFile(path=path, size=len(content), digest=digest(CODE_FILE_DOMAIN, content))
        for path, content in CODE.items()
    ),
    requirements=("pandas>=2",),
    limits=JobLimits(wall_seconds=60, memory_mib=1024, disk_mib=10),
    purpose="p",
    legal_basis="Consent.",
    recipients="r",
    onward_use="o",
    supersedes=None,
    expires_at=2_000_000_000,
)
SHOWN = ShownJob(TERMS, ADA, "pending", "It waits for the owner.", CODE, 1_700_000_000)


def test_the_owner_sees_exactly_what_was_received(place):
    show_job(place.folder, SHOWN)
    (job,) = place.upstream_jobs()
    assert (job.name, job.status, job.submitted_by) == ("count visits", "pending", ADA)
    assert (job.code, job.review_reason) == (CODE["main.py"].decode(), "It waits for the owner.")
    found = {it.relative_to(job.code_dir).as_posix(): it.read_bytes() for it in job.code_dir.rglob("*") if it.is_file()}
    assert found == CODE
    assert job.job_headers == {"request": TERMS.digest()}
    assert "exit 1" in job.run_script
    assert all("<script>alert" not in page for page in place.pages())


@pytest.mark.parametrize(
    ("status", "syfts"),
    [
        ("received", "received"),
        ("approved", "approved"),
        ("denied", "rejected"),
        ("running", "running"),
        ("held", "running"),
        ("released", "done"),
        ("withheld", "rejected"),
        ("failed", "failed"),
        ("cancelled", "failed"),
        ("expired", "failed"),
    ],
)
def test_the_status_is_kept_in_step(place, walk, status, syfts):
    show_job(place.folder, SHOWN)
    show_job(place.folder, replace(SHOWN, status=status, detail="Why."))
    (job,) = place.upstream_jobs()
    assert (job.status, job.review_reason) == (syfts, "Why.")
    assert all(syfts.upper() in page for page in place.pages())
    before = walk(place.folder.box)
    show_job(place.folder, replace(SHOWN, status=status, detail="Why.", code=None))
    assert walk(place.folder.box) == before


def test_a_reason_cannot_act_in_the_owners_page(place):
    """Upstream puts a reason into its page as it is; a researcher writes one when it cancels."""
    show_job(place.folder, replace(SHOWN, status="cancelled", detail="<img src=x onerror=alert(1)> & <script>"))
    (job,) = place.upstream_jobs()
    assert job.review_reason == "‹img src=x onerror=alert(1)› & ‹script›"
    assert all("<img" not in page and "<script>" not in page for page in place.pages())


def test_a_job_moves_to_the_address_that_its_owner_accepted(place):
    show_job(place.folder, replace(SHOWN, researcher=unaccepted_address("b" * 64)))
    show_job(place.folder, replace(SHOWN, code=None, status="denied"))
    (job,) = place.upstream_jobs()
    assert (job.submitted_by, job.status, job.code) == (ADA, "rejected", CODE["main.py"].decode())


def test_two_researchers_may_call_their_jobs_the_same(place):
    show_job(place.folder, SHOWN)
    other = TERMS.model_copy(update={"job": "d" * 32})
    show_job(place.folder, replace(SHOWN, terms=other, researcher="eve@lab.example"))
    assert sorted(job.submitted_by for job in place.upstream_jobs()) == [ADA, "eve@lab.example"]


def test_a_job_never_changes(place, walk):
    show_job(place.folder, SHOWN)
    before = walk(place.folder.box)
    with pytest.raises(ConflictError, match="was edited"):
        show_job(place.folder, replace(SHOWN, code=CODE | {"raw.bin": b"\0\xfe"}))
    assert walk(place.folder.box) == before


def test_a_job_cannot_take_the_place_of_a_study(place):
    """A researcher gives its job the name under which a study is shown: both are shown."""
    name = place.record()
    show_job(place.folder, replace(SHOWN, terms=TERMS.model_copy(update={"name": name})))
    place.record()
    assert len(place.upstream_jobs()) == 2


def test_released_outputs_lie_where_syft_looks(place, walk):
    show_job(place.folder, replace(SHOWN, status="released"))
    facts = [
        OutputFact(kind="output", path="plots/a.png", size=3),
        OutputFact(kind="output", path="result.json", size=2),
        OutputFact(kind="log", path="stdout.txt", size=5),
    ]
    show_outputs(place.folder, ADA, TERMS, facts, [b"PN", b"G{", b"}hello"])
    (job,) = place.upstream_jobs()
    assert sorted(path.name for path in job.output_paths) == ["plots", "result.json"]
    assert (job.job_review_path / "outputs" / "plots" / "a.png").read_bytes() == b"PNG"
    assert str(job.stdout) == "hello"
    before = walk(place.folder.box)
    show_outputs(place.folder, ADA, TERMS, facts, [b"PNG{}hello"])
    assert walk(place.folder.box) == before
    with pytest.raises(InvalidInputError, match="longer"):
        show_outputs(place.folder, ADA, TERMS, facts, [b"PNG{}hello and more"])
    assert walk(place.folder.box) == before


def test_a_link_in_the_box_leads_nowhere(place, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.folder.box / place.folder.owner_email).mkdir(parents=True)
    (place.folder.box / place.folder.owner_email / "app_data").symlink_to(outside)
    with pytest.raises(ConflictError, match="leads out"):
        show_job(place.folder, SHOWN)
    assert list(outside.iterdir()) == []
