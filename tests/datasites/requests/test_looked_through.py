"""Each request is looked through once before its owner is asked; what is shown is what the log names."""

from pathlib import Path

import pytest

from datasites.cli.study_view import print_study, study_as_json
from datasites.requests.finish_check import admit
from datasites.requests.look_through import job_findings, study_findings
from datasites.requests.records import Request
from datasites.requests.review import Review, review
from datasites.store.data_sets import require_data_set
from policies.log.journal import entries
from policies.log.review_entries import RequestReviewed
from policies.programs.digests import source_digest
from policies.programs.format import parse_program
from tests.one_job import COUNT, JobScene, new_job_scene
from tests.one_site import Scene
from tests.one_study import OTHER_LOSS, OTHER_STUDY

HOSTILE = "import os  # [bold red]approved[/] by the board\nx = eval('[link=http://x]1[/link]')\n"


@pytest.fixture
def jobs(tmp_path: Path) -> JobScene:
    return new_job_scene(tmp_path)


def shown(scene: Scene, request: Request) -> Review:
    with scene.site.engine.begin() as connection:
        return review(connection, scene.site, scene.request_in(connection, request))


def reviewed(scene: Scene) -> list[RequestReviewed]:
    with scene.site.engine.begin() as connection:
        return [entry for _, entry in entries(connection) if isinstance(entry, RequestReviewed)]


def checked(scene: Scene, request: Request) -> Request:
    """The check of its programs succeeds."""
    with scene.site.engine.begin() as connection:
        admit(connection, scene.site, request)
    return scene.request(request.digest)


def with_source(scene: Scene, source: str, study: str = OTHER_STUDY) -> Request:
    programs = {"source": source_digest(source)}
    return checked(scene, scene.receive(scene.terms(study, programs=programs), source=source))


def test_what_was_found_is_named_in_the_log_when_a_study_begins_to_wait(scene: Scene) -> None:
    request = scene.receive(scene.terms())
    assert reviewed(scene) == []
    checked(scene, request)
    checked(scene, request)
    (entry,) = reviewed(scene)
    assert entry.request == request.digest
    assert entry.findings == shown(scene, request).findings.digest()
    assert scene.audit().broken == []


def test_findings_are_on_source_and_programs(scene: Scene) -> None:
    request = with_source(scene, HOSTILE)
    places = {(it.place, it.line) for it in shown(scene, request).findings.found}
    assert {("source.py", 1), ("source.py", 2), ("the metrics program", None)} <= places
    with scene.site.engine.begin() as connection:
        manifest = require_data_set(connection, request.data_set).manifest
    assert study_findings(request, manifest) == shown(scene, request).findings


@pytest.mark.both_databases
def test_the_first_study_is_compared_with_nothing_and_one_that_was_denied_does_not_count(scene: Scene) -> None:
    first = scene.submit()
    assert shown(scene, first).difference is None
    second = scene.submit(OTHER_STUDY)
    assert shown(scene, second).difference is None
    scene.approve(first)
    found = shown(scene, second).difference
    assert found is not None
    assert (found.against, found.sentence.split(" since")[0]) == (1, "Nothing that runs changed")


def test_the_study_with_the_same_title_is_preferred(scene: Scene) -> None:
    scene.approved()
    scene.approved(OTHER_STUDY, title="Falls")
    found = shown(scene, scene.submit("3" * 32)).difference
    assert found is not None
    assert found.against == 1


def test_another_loss_under_the_same_source_is_named(scene: Scene) -> None:
    scene.approved()
    programs = {"loss": parse_program(OTHER_LOSS.encode()).digest()}
    request = scene.receive(scene.terms(OTHER_STUDY, programs=programs), loss_program=OTHER_LOSS)
    found = shown(scene, request).difference
    assert found is not None
    assert "One thing changed" in found.sentence
    assert "mse_loss" in found.sentence


def test_what_remains_is_told_until_the_decision(scene: Scene) -> None:
    request = scene.submit()
    found = shown(scene, request)
    assert found.outlook is not None
    assert found.outlook.remains["training"] == pytest.approx(1 - found.outlook.takes["training"])
    count = found.outlook.more_like_this
    scene.approve(request)
    assert shown(scene, request).outlook is None
    again = shown(scene, scene.submit(OTHER_STUDY)).outlook
    assert again is not None
    assert again.more_like_this == count - 1


def test_the_owner_reads_it_in_order_and_nothing_in_it_is_markup(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.approved()
    found = shown(scene, with_source(scene, HOSTILE))
    print_study(found, {member.site: "a site" for member in found.request.terms.cohort})
    printed = " ".join(capsys.readouterr().out.split())
    order = (
        "ada asks to train",
        "What changed",
        "What was found",
        "What runs and what leaves",
        "After it",
        "Who, and why",
        "for reading",
    )
    places = [printed.index(words) for words in order]
    assert places == sorted(places)
    assert "[bold red]approved[/]" in printed
    for_programs = study_as_json(found)
    assert for_programs["difference"]["against"] == 1
    assert [it["line"] for it in for_programs["review"]["found"] if it["severity"] == "high"] == [1, 2]
    assert for_programs["review"]["digest"] == found.findings.digest()
    assert for_programs["outlook"]["more_like_this"] > 0


def test_a_job_is_looked_through_when_it_begins_to_wait(jobs: JobScene) -> None:
    job = jobs.tried("import os\n" + COUNT)
    (entry,) = reviewed(jobs.scene)
    found = jobs.shown(job).findings
    assert found is not None
    assert (entry.request, entry.findings) == (job.digest, found.digest())
    assert found == job_findings(jobs.shown(job).code)
    assert (found.found[0].line, found.found[0].severity) == (1, "high")
    assert jobs.scene.audit().broken == []


def test_a_job_is_compared_with_the_approved_one_of_the_likest_name(jobs: JobScene) -> None:
    jobs.approve(jobs.tried(name="count visits 1"))
    jobs.approve(jobs.tried(COUNT.replace("rows", "lines"), name="other"))
    job = jobs.tried(COUNT.replace("[1:]", "[2:]"), name="count visits 2")
    found = jobs.shown(job).difference
    assert found is not None
    assert found.against == 1
    assert "In main.py, line 4: «1» became «2»." in found.sentence


def test_a_job_whose_code_is_gone_is_still_compared(jobs: JobScene) -> None:
    jobs.approve(jobs.tried(name="count visits 1"))
    jobs.scene.tamper("UPDATE jobs SET code_file = NULL")  # as when nothing of it can run any more
    found = jobs.shown(jobs.tried(COUNT + "\n", name="count visits 2")).difference
    assert found is not None
    assert "what it was before is not kept" in found.sentence
