"""What a request changes against the last one that was approved: source, terms and programs, each change a sentence."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, StringConstraints

from policies.jobs.terms import JobTerms
from policies.programs.format import Program
from policies.review.program_differences import program_edits
from policies.review.syntax_differences import WHOLE_FILE, Edit, shortened, source_edits
from policies.statements.canonical import canonical_bytes
from policies.statements.schema import PLAIN_TEXT, StrictModel, as_text
from policies.terms import Terms

MAXIMUM_CHANGES = 200
_LONGEST_SENTENCE = 600

Part = Literal["source", "program", "terms", "documentation", "label"]
"""What changed; documentation runs nowhere, and labels (names, dates) differ in every request."""

_LABELS = frozenset({"name", "title", "expires_at", "supersedes"})
_UNTOLD = frozenset({"study", "job"})
_TOLD_ELSEWHERE = frozenset(
    {"code", "programs.loss", "programs.metrics", "programs.source", "programs.parameter_count"}
)

_Sentence = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_SENTENCE, pattern=PLAIN_TEXT)]


class Change(StrictModel):
    """One thing that is not as it was; `place` is a file, a program or a field of the terms, `line` that of now."""

    part: Part
    place: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN_TEXT)]
    line: Annotated[int, Field(ge=1, le=10_000_000)] | None
    sentence: _Sentence


class Difference(StrictModel):
    """All that a request changes against request number `against`; `more` counts what is not listed."""

    against: Annotated[int, Field(ge=1)]
    changes: Annotated[tuple[Change, ...], Field(max_length=MAXIMUM_CHANGES)]
    more: Annotated[int, Field(ge=0)]

    @property
    def sentence(self) -> str:
        """How much changed, naming it if it is one thing; labels and documentation do not count."""
        parts = Counter(it.part for it in self.changes)
        runs = parts["source"] + parts["program"] + parts["terms"]
        since = f"since request {self.against}, the last of this researcher's that was approved"
        if self.more or runs > 1 + parts["program"] or (runs > 1 and not parts["source"]):
            return f"{runs + self.more} things changed {since}."
        if runs == 0:
            return f"Nothing that runs changed {since}."
        one = next(it for it in self.changes if it.part in ("source", "terms") or runs == parts["program"])
        places = f"{parts['program']} place{'' if parts['program'] == 1 else 's'}"
        beside = f" The programs, which are what runs, differ in {places}." if runs > 1 else ""
        return f"One thing changed {since}: {one.sentence}{beside}"


class Snapshot(NamedTuple):
    """One request as it is compared: its terms, its programs by name, its source by path (None: it is not kept)."""

    terms: Terms | JobTerms
    programs: Mapping[str, Program]
    source: Mapping[str, bytes] | None


def difference(against: int, before: Snapshot, after: Snapshot) -> Difference:
    """Compare a request with one that was approved, which its owner calls `against`."""
    changes = [*_source(before, after), *_programs(before, after), *_terms(before.terms, after.terms)]
    ordered = sorted(changes, key=lambda change: change.part in ("label", "documentation"))
    return Difference(
        against=against, changes=tuple(ordered[:MAXIMUM_CHANGES]), more=max(0, len(ordered) - MAXIMUM_CHANGES)
    )


def _source(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    if before.source is None or after.source is None:
        yield from _files(before.terms, after.terms)
        return
    for path in sorted(before.source.keys() | after.source.keys()):
        old, new = before.source.get(path), after.source.get(path)
        if old is None or new is None:
            yield _change("source", path, None, f"The file {path} is {'new' if old is None else 'gone'}.")
        elif not path.endswith(".py"):
            if old != new:
                yield _change("source", path, None, f"The file {path} has another content.")
        elif old != new:
            edits = source_edits(old, new)
            yield from _told("source", path, edits.code)
            yield from _told("documentation", path, edits.documentation)


def _files(before: Terms | JobTerms, after: Terms | JobTerms) -> Iterator[Change]:
    if not isinstance(before, JobTerms) or not isinstance(after, JobTerms):
        return
    old, new = ({file.path: file.digest for file in terms.code} for terms in (before, after))
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            said = f"The file {path} is another one; what it was before is not kept."
            yield _change("source", path, None, said)


def _told(part: Part, path: str, edits: Iterable[Edit]) -> Iterator[Change]:
    """Each edit once: the same one at several places, as when a variable is renamed, is told with their number."""
    counts = Counter((edit.where, edit.before, edit.after) for edit in edits)
    first = {(edit.where, edit.before, edit.after): edit for edit in reversed(list(edits))}
    for key, times in counts.items():
        edit = first[key]
        inside = path if edit.where == WHOLE_FILE else f"{edit.where} of {path}"
        at = "" if edit.line is None else f", line {edit.line}"
        often = "" if times == 1 else f" ({times} times)"
        yield _change(part, path, edit.line, f"In {inside}{at}: {_words(edit)}{often}.")


def _words(edit: Edit) -> str:
    if edit.before is None:
        return f"«{edit.after}» is new"
    return f"«{edit.before}» is gone" if edit.after is None else f"«{edit.before}» became «{edit.after}»"


def _programs(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    for name in sorted(before.programs.keys() & after.programs.keys()):
        for sentence in program_edits(before.programs[name], after.programs[name]):
            yield _change("program", f"the {name} program", None, f"The {name} program: {sentence}")


def _terms(before: Terms | JobTerms, after: Terms | JobTerms) -> Iterator[Change]:
    old, new = (dict(_fields("", terms.model_dump(mode="json"))) for terms in (before, after))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name) or name in _UNTOLD | _TOLD_ELSEWHERE:
            continue
        if name == "programs.initial_parameters":
            yield _change("program", name, None, "The numbers that the model starts from are others.")
            continue
        if name == "programs.tokens.tokeniser":
            yield _change("program", name, None, "Texts are read by another tokeniser.")
            continue
        was, now = shortened(_text(old.get(name)), _text(new.get(name)))
        yield _change("label" if name in _LABELS else "terms", name, None, f"{name} was «{was}» and is «{now}».")


def _fields(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every field with its path; the members of a cohort by their site."""
    if path == "cohort":
        value = {member["site"]: {key: it for key, it in member.items() if key != "site"} for member in value}
    if isinstance(value, dict):
        for name, it in value.items():
            yield from _fields(f"{path}.{name}" if path else name, it)
    else:
        yield path, value


def _text(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else canonical_bytes(value).decode()


def _change(part: Part, place: str, line: int | None, sentence: str) -> Change:
    return Change(part=part, place=as_text(place)[:200], line=line, sentence=as_text(sentence)[:_LONGEST_SENTENCE])
