"""PySyft's own client as its users know it, over our relay: peers, data sets, jobs, statuses and outputs."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import syft as sy

from datasites.protocol.job_messages import FileSetReply, JobCancel
from datasites.protocol.question_messages import RequestAnswer, RequestQuestion
from policies.errors import ConflictError, InvalidInputError, RefusedError, UnavailableError
from policies.question import Question, sign_question
from tests.researcher.syft_scene import ADA, ANALYSIS, ANNA, BERN, SyftScene, open_scene

OTHER_SERVICES = re.compile(r"google|gmail|\bdrive\b|gdrive|\btokens?\b", re.IGNORECASE)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[SyftScene]:
    with open_scene(tmp_path) as opened:
        yield opened


def test_a_peer_is_asked_and_then_accepted(scene: SyftScene) -> None:
    client = scene.login()
    assert list(client.peers) == []
    scene.anna.accepts = False
    client.add_peer(ANNA)
    scene.talk(client)
    assert [(it.email, it.state.value) for it in client.peers] == [(ANNA, "requested_by_me")]
    scene.anna.accepts = True
    client.add_peer(ANNA)
    scene.talk(client)
    assert [(it.email, it.is_approved) for it in client.peers] == [(ANNA, True)]


def test_only_a_pinned_site_can_be_a_peer(scene: SyftScene) -> None:
    client = scene.login(sites={ANNA: scene.cards[ANNA]})
    with pytest.raises(InvalidInputError, match="No site is pinned as data-office@bern"):
        client.add_peer(BERN)
    with pytest.raises(InvalidInputError, match="do not trust this card"):
        scene.login(sites={BERN: (scene.cards[BERN][0], scene.cards[ANNA][1])})
    with pytest.raises(ConflictError, match="stands for another site"):
        scene.login(sites={ANNA: scene.cards[BERN]})
    with pytest.raises(InvalidInputError, match="not an e-mail address"):
        scene.login(sites={"../bern": scene.cards[BERN]})
    with pytest.raises(ConflictError, match="belongs to ada@lab"):
        scene.login(email="eve@lab.example")


def test_data_sets_are_shown_with_their_mock_files_alone(scene: SyftScene) -> None:
    client = scene.acquainted()
    data_set = client.datasets.get("diabetes", datasite=ANNA)
    assert (data_set.name, data_set.owner, data_set.summary) == ("diabetes", ANNA, "Diabetes in primary care")
    assert [path.name for path in data_set.mock_files] == ["diabetes.csv"]
    assert data_set.get_readme() == "# Diabetes"
    with redirect_stdout(io.StringIO()):
        path = sy.resolve_dataset_file_path("diabetes", client=client)
    assert path.read_text() == "age,glucose\n50,100\n"
    scene.anna.offers = {"wards": {"a.csv": b"1", "b.csv": b"22"}, "big": {"big.bin": bytes(300_000)}}
    scene.talk(client)
    assert {it.name: [path.name for path in it.mock_files] for it in client.datasets} == {
        "wards": ["a.csv", "b.csv"],
        "big": ["big.bin"],
    }
    scene.anna.offers = {}
    scene.talk(client)
    assert len(client.datasets) == 0


def test_mock_files_that_stand_are_not_fetched_again(scene: SyftScene) -> None:
    client = scene.acquainted()
    (path,) = client.datasets.get("diabetes", datasite=ANNA).mock_files
    before = path.stat().st_ino
    scene.talk(client)
    assert path.stat().st_ino == before
    path.write_bytes(b"edited by hand")
    scene.talk(client)
    assert path.read_bytes() == b"age,glucose\n50,100\n"


def test_a_job_goes_out_is_followed_and_its_outputs_come(scene: SyftScene) -> None:
    client = scene.acquainted()
    terms = scene.submit(client)
    assert (terms.name, terms.entrypoint, terms.data_sets) == ("count", "analysis.py", ("diabetes",))
    assert [file.path for file in terms.code] == ["analysis.py"]
    assert scene.anna.code[-1] == ANALYSIS.encode()
    assert terms.requirements == ()
    assert client.jobs["count"].status == "pending"
    scene.anna.says(scene.anna.status(terms, "approved", decision=scene.anna.decide(terms), detail="Go on."))
    (job,) = client.jobs
    assert (job.status, job.review_reason, job.submitted_by) == ("approved", "Go on.", ADA)
    scene.anna.says(scene.anna.status(terms, "released", decision=scene.anna.decide(terms)))
    assert client.jobs["count"].status == "running", "released outputs that are on their way are not there yet"
    png = bytes(range(256)) * 1000
    files = {"output/result.json": b'{"rows": 442}', "output/plots/a.png": png, "log/stdout.txt": b"hello\n"}
    scene.anna.says(scene.anna.outputs(terms, files))
    job = client.jobs["count"]
    assert job.status == "done"
    found = {it.name: it for it in job.output_paths}
    assert found["result.json"].read_bytes() == b'{"rows": 442}'
    assert (found["plots"] / "a.png").read_bytes() == png
    assert str(job.stdout) == "hello\n"
    assert "No stderr" in str(job.stderr)


def test_each_status_in_pysyfts_words(scene: SyftScene) -> None:
    client = scene.acquainted()
    expected = {
        "received": (None, "received"),
        "refused": (None, "rejected"),
        "pending": (None, "pending"),
        "approved": ("approve", "approved"),
        "denied": ("deny", "rejected"),
        "running": ("approve", "running"),
        "held": ("approve", "running"),
        "withheld": ("approve", "rejected"),
        "failed": ("approve", "failed"),
        "cancelled": (None, "failed"),
        "expired": (None, "failed"),
    }
    for status, (verdict, _) in expected.items():
        terms = scene.submit(client, job_name=status)
        decision = None if verdict is None else scene.anna.decide(terms, verdict)
        scene.anna.says(scene.anna.status(terms, status, decision=decision, detail="Because of that."))
    assert {job.name: job.status for job in client.jobs} == {name: shown for name, (_, shown) in expected.items()}
    assert {job.review_reason for job in client.jobs} == {"Because of that."}


def test_everything_survives_the_end_of_the_kernel(scene: SyftScene) -> None:
    client = scene.acquainted()
    terms = scene.submit(client)
    decision = scene.anna.decide(terms)
    scene.anna.says(scene.anna.status(terms, "released", decision=decision))
    scene.anna.says(scene.anna.outputs(terms, {"output/result.json": b"{}"}))
    client.sync_engine._desk.correspondence.listen(5)  # taken from the relay, and then the kernel dies
    again = scene.login(sites=None)
    assert [it.email for it in again.peers] == [ANNA]
    assert [it.name for it in again.datasets] == ["diabetes"]
    (job,) = again.jobs
    assert (job.status, [it.name for it in job.output_paths]) == ("done", ["result.json"])


def test_a_job_waits_for_the_relay(scene: SyftScene) -> None:
    client = scene.acquainted()
    scene.stop_relay()
    with pytest.warns(UserWarning, match="goes out with the next sync"):
        client.submit_python_job(ANNA, scene.script(), job_name="count")
    with pytest.raises(UnavailableError):
        client.sync()
    assert scene.anna.jobs == []
    scene.start_relay()
    scene.talk(scene.login(sites=None))
    assert [terms.name for terms in scene.anna.jobs] == ["count"]


def test_a_question_about_a_job_is_answered(scene: SyftScene) -> None:
    client = scene.acquainted()
    client.submit_python_job(ANNA, scene.script(), "count")
    scene.talk(client)
    (terms,) = scene.anna.jobs
    question = Question(
        version="cloister-question/1",
        site=scene.anna.identity.party,
        request=terms.digest(),
        number=1,
        text="Why count?",
        asked_at=5,
    )
    scene.anna.says(RequestQuestion(name=terms.job, signed=sign_question(scene.anna.owner_key, None, question)))
    scene.bern.says(RequestQuestion(name=terms.job, signed=sign_question(scene.bern.owner_key, None, question)))
    scene.talk(client)
    job = client.jobs["count"]
    assert [(it.site, it.text, it.answer) for it in job.questions] == [("anna", "Why count?", None)]
    job.answer("To plan beds.")
    assert RequestAnswer(request=terms.digest(), number=1, answer="To plan beds.") in scene.anna.hears()
    with pytest.raises(ConflictError):
        job.answer("No: …", job.questions[0])


def test_a_job_is_replaced_by_the_next_one(scene: SyftScene) -> None:
    client = scene.acquainted()
    older = scene.submit(client)
    with client.jobs["count"].replaced():
        client.submit_python_job(ANNA, scene.script(), "count better")
    client.submit_python_job(ANNA, scene.script(), "count more")
    scene.talk(client)
    assert [it.supersedes for it in scene.anna.jobs] == [None, older.digest(), None]
    scene.anna.says(scene.anna.status(older, "superseded"))
    scene.talk(client)
    assert client.jobs["count"].status == "failed"


def test_a_job_is_cancelled(scene: SyftScene) -> None:
    client = scene.acquainted()
    terms = scene.submit(client)
    client.jobs["count"].cancel("I found a mistake.")
    (heard,) = [it for it in scene.anna.hears() if isinstance(it, JobCancel)]
    assert (heard.job, heard.reason) == (terms.job, "I found a mistake.")


def test_a_data_set_is_found_by_its_name_where_one_site_has_it(scene: SyftScene) -> None:
    client = scene.acquainted()
    assert client.datasets.get("diabetes").owner == ANNA
    client.add_peer(BERN, verbose=False)
    scene.bern.offers = {"diabetes": {"d.csv": b"1"}}
    scene.talk(client)
    with pytest.raises(FileNotFoundError, match="diabetes"):
        client.datasets.get("diabetes")
    assert client.datasets.get("diabetes", datasite=BERN).owner == BERN


def test_what_a_researcher_cannot_do_is_said_in_one_sentence(scene: SyftScene) -> None:
    client = scene.acquainted()
    for act in (
        lambda: client.approve_peer_request(ANNA),
        lambda: client.reject_peer_request(ANNA),
        lambda: client.submit_bash_job(ANNA, "rm -rf /", job_name="script"),
        client.delete_syftbox,
    ):
        with pytest.raises(RefusedError) as caught:
            act()
        assert str(caught.value).endswith(".")
        assert not OTHER_SERVICES.search(str(caught.value))
    assert len(client.jobs) == 0
    for unknown in (lambda: client.create_dataset("a", "b", "c"), lambda: client.share_dataset("diabetes", "any")):
        with pytest.raises(ValueError, match="Only dataset owners"):
            unknown()
    with pytest.raises((FileNotFoundError, ValueError)):
        client.delete_dataset("diabetes", require_confirmation=False)


def test_nothing_printed_or_shown_names_another_service(scene: SyftScene, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        client = scene.acquainted()
        client.add_peer(ANNA)
        terms = scene.submit(client)
        scene.anna.says(scene.anna.status(terms, "released", decision=scene.anna.decide(terms)))
        scene.anna.says(scene.anna.outputs(terms, {"output/result.json": b"{}", "log/stdout.txt": b"hello"}))
        jobs, peers, data_sets = client.jobs, client.peers, client.datasets
        shown = [jobs, jobs[0], jobs[0].stdout, jobs[0].stderr, peers, data_sets, data_sets.get("diabetes", ANNA)]
        pages = [it._repr_html_() for it in shown] + [repr(it) + str(it) for it in [*shown, client]]
    printed = capsys.readouterr()
    assert "Job submitted successfully" in printed.out
    for text in (printed.out, printed.err, *pages):
        assert not OTHER_SERVICES.search(text)


def test_answers_to_a_question_asked_twice_are_no_harm(scene: SyftScene) -> None:
    client = scene.acquainted()
    scene.anna.says(FileSetReply(total=2, offer=scene.anna.offer("one", {"a": b"1"}, total=2).offer))
    client.sync()
    scene.anna.says(FileSetReply(total=1, offer=scene.anna.offer("one", {"a": b"1"}, total=1).offer))
    client.sync()
    assert [it.name for it in client.datasets] == ["one"]
