"""The owner's commands for files and jobs: what they print, what they change, and their exit codes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from datasites.protocol.job_messages import PeerRequest
from datasites.requests.contacts import ask_for_contact
from datasites.requests.jobs.records import Status
from datasites.site import open_site
from tests.datasites.cli.test_commands import Owner, failure
from tests.one_job import COUNT, MOCK, PRIVATE, JobScene


@pytest.fixture
def owner(jobs: JobScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Owner:
    monkeypatch.setattr("datasites.cli.options.open_site", lambda home: open_site(home, jobs.scene.clock))
    return Owner(jobs.scene, tmp_path)


def test_a_job_is_listed_shown_approved_released_and_looked_at(jobs: JobScene, owner: Owner, tmp_path: Path) -> None:
    job = jobs.tried()
    (listed,) = owner.asks("requests")
    assert (listed["number"], listed["kind"], listed["title"], listed["status"], listed["data_set"]) == (
        1, "job", "count visits", "pending", "visits",
    )  # fmt: skip
    shown = owner.asks("show", "1")
    assert shown["approval_digest"] == jobs.shown(job).approval_digest
    assert (shown["code"], shown["obstacles"], shown["run"]) == ({"main.py": COUNT}, [], None)
    assert shown["dry_run"]["ending"] == "finished"
    result = owner.decides("approve", shown["approval_digest"])
    assert "«count visits», is approved" in result.stdout
    assert owner.decides("approve", shown["approval_digest"]).exit_code == 3
    jobs.run(job)
    shown = owner.asks("show", "1")
    assert (shown["status"], shown["run"]["ending"]) == ("held", "finished")
    assert owner.asks("outputs", "1", "--to", tmp_path / "seen") == {"number": 1, "status": "held"}
    assert (tmp_path / "seen" / "outputs" / "result.json").read_text() == '{"rows": 200}'
    assert (tmp_path / "seen" / "printed" / "stdout.txt").read_text() == "counted\n"
    assert (tmp_path / "seen").stat().st_mode & 0o077 == 0
    assert failure(owner.types("outputs", "1", "--to", tmp_path / "seen", "--json"))["exit_code"] == 5
    result = owner.decides("release", shown["release_digest"])
    assert result.exit_code == 0, result.output
    assert jobs.job(job.digest).status is Status.RELEASED
    assert owner.decides("release", shown["release_digest"]).exit_code == 3
    assert [it["excluded"]["jobs"] for it in owner.asks("budget")] == [0]  # the visits are of no population


def test_the_budget_says_which_guarantee_excludes_a_released_job(jobs: JobScene, owner: Owner) -> None:
    population = owner.asks("budget")[0]["population"]
    mock = jobs.private.parent / "mock" / "visits.csv"
    added = owner.asks(
        "files", "add", "people", jobs.private, "--mock", mock, "--summary", "The clinic's.", "--people-of", "clinic-a",
        "--everybody",
    )  # fmt: skip
    assert added["population"] == population
    code = COUNT.replace('"visits"', '"people"')
    jobs.release(jobs.ran(code, name="about people", data_sets=("people",)))
    assert [it["excluded"]["jobs"] for it in owner.asks("budget")] == [1]
    assert f"The guarantee of {population} excludes the outputs of 1 released job." in owner.types("budget").stdout


def test_what_show_prints_says_what_to_type_next(jobs: JobScene, owner: Owner) -> None:
    job = jobs.tried()
    assert f"datasite approve {jobs.shown(job).approval_digest}" in owner.types("show", "1").stdout
    jobs.run(jobs.approve(job))
    printed = owner.types("show", "1").stdout
    shown = owner.asks("show", "1")
    assert f"datasite release {shown['release_digest']}" in printed
    assert f"datasite release {shown['release_digest_with_logs']}" in printed
    assert "datasite outputs 1 --to FOLDER" in printed
    failed = jobs.ran("1 / 0", name="fails")
    assert f"datasite approve {jobs.shown(failed).approval_digest}" in owner.types("show", "2").stdout


@pytest.mark.parametrize("words", [("withhold", "1"), ("cancel", "1"), ("deny", "1")])
def test_a_word_against_a_job_needs_a_reason(jobs: JobScene, owner: Owner, words: tuple[str, ...]) -> None:
    jobs.ran()
    assert owner.decides(*words).exit_code == 2


def test_outputs_are_withheld_and_jobs_cancelled_and_denied(jobs: JobScene, owner: Owner) -> None:
    jobs.ran()
    jobs.tried(name="second")
    jobs.tried(name="third")
    assert owner.decides("withhold", "1", "--reason", "Too fine.").exit_code == 0
    assert owner.asks("cancel", "2", "--reason", "No.") == {"number": 2, "status": "cancelled"}
    assert owner.decides("deny", "3", "--reason", "No.").exit_code == 0
    assert [it["status"] for it in owner.asks("requests")] == ["withheld", "cancelled", "denied"]
    assert owner.decides("withhold", "1", "--reason", "Again.").exit_code == 5
    assert failure(owner.types("cancel", "2", "--reason", "Again.", "--json"))["exit_code"] == 5
    assert owner.decides("deny", "3", "--reason", "Again.").exit_code == 5
    assert failure(owner.types("cancel", "9", "--reason", "?", "--json"))["exit_code"] == 2
    assert owner.types("outputs", "1", "--to", owner.folder / "new").exit_code == 5  # withheld: none are kept


def test_files_are_offered_shared_and_listed(jobs: JobScene, owner: Owner, tmp_path: Path) -> None:
    mock, private = tmp_path / "m.csv", tmp_path / "p.csv"
    mock.write_text(MOCK)
    private.write_text(PRIVATE)
    words = ("files", "add", "beds", private, "--summary", "Beds.", "--mock", mock, "--to", "ada@uni.example")
    added = owner.asks(*words)
    assert (added["name"], added["everybody"], added["contacts"]) == ("beds", False, ["ada@uni.example"])
    assert added["private"] == [str(private)]
    assert owner.asks("files", "share", "beds", "--everybody")["everybody"]
    assert [it["name"] for it in owner.asks("files", "list")] == ["beds", "visits"]
    assert "Beds." in owner.types("files", "list").stdout
    assert failure(owner.types("files", "share", "none", "--json"))["exit_code"] == 2
    assert failure(owner.types("files", "add", "a b", private, "--summary", "x", "--mock", mock, "--json"))
    assert "--mock" in failure(owner.types("files", "add", "new", private, "--summary", "x", "--json"))["error"]


def test_a_mock_is_drawn_for_a_table_of_known_people(jobs: JobScene, owner: Owner) -> None:
    added = owner.asks("files", "add", "beds", jobs.private, "--summary", "Beds.", "--people-of", "clinic-a")
    assert added["population"] is not None


def test_addresses_are_listed_accepted_and_refused(jobs: JobScene, owner: Owner) -> None:
    assert owner.asks("peers", "asking") == []
    for who, address in (("ada", "ada@uni.example"), ("eve", "eve@uni.example")):
        card = jobs.scene.researcher.card if who == "ada" else jobs.scene.other_researcher.card
        with jobs.scene.site.engine.begin() as connection:
            ask_for_contact(connection, jobs.scene.site, card, PeerRequest(contact=address), (), jobs.scene.now)
    assert owner.asks("peers", "accept", "ada@uni.example")["name"] == "ada"
    assert owner.asks("peers", "refuse", "eve@uni.example") == {"contact": "eve@uni.example"}
    found = {it["name"]: (it["requested"], it["accepted"]) for it in owner.asks("peers", "asking")}
    assert found == {"ada": (None, "ada@uni.example"), "eve": (None, None)}
    assert "ada@uni.example" in owner.types("peers", "asking").stdout
    assert failure(owner.types("peers", "accept", "ada@uni.example", "--json"))["exit_code"] == 2
    assert failure(owner.types("peers", "refuse", "ada@uni.example", "--json"))["exit_code"] == 2


HOSTILE = "# [bold red]harmless[/] [link=http://x]x[/]\n# \x1b[2J\x1b]0;title\x07 \u202e\u2066 :skull:\n"
HIDDEN = "pass" + " " * 3000 + "; steal = 7"
RETURNED = "# a comment\rsteal_too = 7"


@pytest.mark.parametrize(
    "code",
    [
        {"main.py": f"{HOSTILE}{HIDDEN}\n{RETURNED}\nprint({HOSTILE!r} * 3)\n".encode()},
        {"main.py": b"import helper", "helper.py": HOSTILE.encode(), "blob.bin": b"\xff\xfe\x1b[2J"},
    ],
)
def test_hostile_code_is_shown_harmlessly_and_whole(jobs: JobScene, owner: Owner, code: Mapping[str, bytes]) -> None:
    jobs.tried(code, purpose="[bold red]Approved[/] by the board [/]", requirements=("pandas",))
    for command in (("show", "1"), ("requests",)):
        result = owner.types(*command)
        assert result.exit_code == 0, result.output
        letters = set(result.stdout)
        assert not letters & set("\x1b\x07\r\u202e\u2066\x9b")
    printed = owner.types("show", "1").stdout
    assert "[bold red]Approved[/]" in printed
    assert "[bold red]harmless[/] [link=http://x]x[/]" in printed
    if "steal = 7" in code["main.py"].decode():
        assert "steal = 7" in printed
        (line,) = (line for line in printed.splitlines() if "steal_too = 7" in line)
        assert "comment" not in line  # Python begins a line there, and so does what is shown


def test_code_that_is_too_long_to_be_shown_says_so(jobs: JobScene, owner: Owner) -> None:
    jobs.tried({"main.py": b"x = 1\n" * 20_000 + b"hidden=7\n"})
    printed = owner.types("show", "1").stdout
    assert "hidden=7" not in printed
    assert "20,009 characters more of main.py are shown with --json only" in printed
    assert "hidden=7" in owner.asks("show", "1")["code"]["main.py"]


def test_what_a_job_writes_is_shown_harmlessly(jobs: JobScene, owner: Owner) -> None:
    column = "[bold red]clean[/] \x1b[2J \u202e"
    job = jobs.ran(f"import json\njson.dump({{{column!r}: [1, 2, 3]}}, open('outputs/result.json', 'w'))")
    assert job.findings is not None
    result = owner.types("show", "1")
    assert result.exit_code == 0, result.output
    assert not set(result.stdout) & set("\x1b\u202e")
