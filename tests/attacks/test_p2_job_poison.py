"""P2, attacked by letters that are too large, badly named or poisoned: refused at once, and the next one is taken."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import wrap
from datasites.protocol.messages import Message
from tests.attacks.job_letters import JobLetters
from tests.one_job import COUNT, JobScene

CODE = {"main.py": COUNT.encode()}


@pytest.fixture
def letters(jobs: JobScene) -> JobLetters:
    return JobLetters(jobs)


def written(fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


BIG = 300 * 2**20


def blob(size: int, digest: str = "0" * 64) -> BlobReference:
    return BlobReference(digest=digest, size=size, key="1" * 64)


def test_a_bomb_that_says_so_is_not_even_fetched(letters: JobLetters) -> None:
    letters.post(letters.submission().model_copy(update={"code": blob(BIG)}))
    terms = letters.jobs.terms(CODE)
    file = terms.code[0].model_copy(update={"size": BIG})
    bomb = terms.model_copy(update={"code": (file,)})
    letters.post(letters.submission(bomb).model_copy(update={"code": blob(BIG)}))
    assert letters.relay.fetched == 0
    assert letters.jobs.scene.count("jobs") == 0
    assert len(letters.refusals()) == 2
    letters.flows_on()


def test_a_bomb_that_is_announced_as_small_is_left(letters: JobLetters) -> None:
    """The relay gives more than was announced: no more than that is taken, and nothing of it stays."""
    reference, sealed = wrap(bytes(2 << 20))
    assert sealed is not None
    assert isinstance(reference, BlobReference)
    letters.relay.blobs[reference.digest] = b"".join(sealed.pieces(0))
    before = sorted((letters.jobs.scene.site.home.folder / "contents").iterdir())
    code = b"x" * 100_000
    message = letters.submission(letters.jobs.terms({"main.py": code}), code)
    letters.post(message.model_copy(update={"code": reference.model_copy(update={"size": 100_000})}))
    assert letters.relay.fetched == 1
    assert letters.jobs.scene.count("jobs") == 0
    assert sorted((letters.jobs.scene.site.home.folder / "contents").iterdir()) == before
    letters.flows_on()


@pytest.mark.parametrize("sizes", [(2**24, 2**24), (2**24,) * 20, (-5, 10), (0,) * 401])
def test_announced_sizes_that_do_not_fit_are_refused(letters: JobLetters, sizes: tuple[int, ...]) -> None:
    terms = letters.jobs.terms(CODE)
    files = [{"path": f"f{n:03}.py", "size": size, "digest": "0" * 64} for n, size in enumerate(sizes)]
    text = written(terms.model_dump(mode="json") | {"code": files, "entrypoint": "f000.py"})
    letters.post(letters.submission(terms, terms=text).model_copy(update={"code": blob(100)}))
    assert letters.relay.fetched == 0
    assert letters.jobs.scene.count("jobs") == 0


@pytest.mark.parametrize("count", [1, 40])
def test_sizes_that_do_not_add_up_are_refused(letters: JobLetters, count: int) -> None:
    code = {f"f{n:03}.py": b"x = 1" for n in range(count)} | CODE
    terms = letters.jobs.terms(code)
    whole = b"".join(code[path] for path in sorted(code))
    for content in (whole[:-1], whole + b"x", b""):
        letters.post(letters.submission(terms, content, code=wrap(content)[0]))
    assert letters.jobs.scene.count("jobs") == 0
    assert all(len(it) < 300 for it in letters.refusals())
    letters.flows_on()


NAMES = (
    "../x.py", "/etc/cron.d/x.py", "a/../../x.py", "a//x.py", ".ssh/x.py", "C:\\x.py", "x.py\u202e", "ｘ.py",
    "x.py\n", "<img>.py", "a\\..\\x.py", "%2e%2e/x.py", "~/x.py", "-rf.py", "nul\0.py", "x" * 300 + ".py",
)  # fmt: skip
PLACES: dict[str, Callable[[str], dict[str, object]]] = {
    "a path": lambda name: {"code": [{"path": name, "size": 1, "digest": "0" * 64}], "entrypoint": name},
    "the entry point": lambda name: {"entrypoint": name},
    "a data set": lambda name: {"data_sets": [name]},
    "the job's name": lambda name: {"name": name},
}


@pytest.mark.parametrize("place", PLACES)
def test_no_name_leaves_its_folder_or_is_markup(letters: JobLetters, place: str) -> None:
    terms = letters.jobs.terms(CODE)
    for number, name in enumerate(NAMES, start=1):
        text = written(terms.model_dump(mode="json") | PLACES[place](name))
        letters.post(letters.submission(terms, terms=text))
        assert len(letters.refusals()) == number, name
        assert name not in letters.refusals()[-1]
    assert letters.jobs.scene.count("jobs") == 0
    letters.flows_on()


def test_two_paths_that_a_disk_may_take_for_one_stay_two(letters: JobLetters) -> None:
    """Names that differ in their letters' case are two files in the sandbox, and never one over the other."""
    code = {"MAIN.py": b"raise SystemExit(3)", "main.py": b'open("outputs/which.txt", "w").write("small")'}
    job = letters.jobs.ran(code)
    assert job.run is not None
    assert [it.path for it in job.run.files if it.kind == "output"] == ["which.txt"]


def deep(text: str) -> str:
    return text.replace('"visits"', "[" * 5000 + "]" * 5000)


POISON: dict[str, Callable[[str], object]] = {
    "no JSON": lambda _: "{",
    "nothing in it": lambda _: "{}",
    "a list": lambda _: "[]",
    "deep": deep,
    "not a number": lambda text: text.replace('"expires_at":', '"expires_at":NaN,"x":'),
    "a huge number": lambda text: text.replace('"wall_seconds":60', '"wall_seconds":' + "9" * 400),
    "a float": lambda text: text.replace('"wall_seconds":60', '"wall_seconds":6e1'),
    "twice the same": lambda text: text.replace('"name":', '"name":"a","name":'),
    "half a character": lambda text: text.replace("count visits", "\\ud800"),
    "a zero": lambda text: text.replace("count visits", "a\\u0000b"),
    "a long field": lambda text: text.replace('"name":', f'"{"z" * 3000}\u202e":1,"name":'),
    "very long": lambda text: text.replace("None.", "x" * 300_000),
    "spaces": lambda text: " " + text,
    "another version": lambda text: text.replace("cloister-job/1", "cloister-job/9"),
    "a bool": lambda text: text.replace('"memory_mib":2048', '"memory_mib":true'),
}


@pytest.mark.parametrize("poison", POISON)
def test_poisoned_terms_are_refused_and_the_queue_flows_on(letters: JobLetters, poison: str) -> None:
    terms = letters.jobs.terms(CODE)
    text = str(POISON[poison](terms.canonical().decode()))
    assert text != terms.canonical().decode()
    letters.post(letters.submission(terms, terms=text))
    assert letters.jobs.scene.count("jobs") == 0
    letters.flows_on()


@pytest.mark.parametrize(
    "changes",
    [
        {"code": {"where": "letter", "content": "!!!"}},
        {"code": {"where": "nowhere"}},
        {"code": None},
        {"job": "../../x"},
        {"terms": 7},
        {"job": "f" * 32},
        {"extra": "x"},
    ],
)
def test_poisoned_messages_are_dropped_and_the_queue_flows_on(letters: JobLetters, changes: dict[str, Any]) -> None:
    class Raw(BaseModel):
        type: str = "job-submission"

        def canonical(self) -> bytes:
            fields = letters.submission().model_dump(mode="json", warnings=False) | changes
            return written(fields).encode()

    message: Message = Raw()  # type: ignore[assignment]
    letters.post(message)
    assert letters.jobs.scene.count("jobs") == 0
    letters.flows_on()
