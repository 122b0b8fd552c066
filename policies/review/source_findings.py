"""Findings on source: read, never run. They say where a reviewer should look; the sandbox is what protects."""

import ast
from collections.abc import Collection, Iterator, Mapping

from policies.disclosure.finding_parts import as_label
from policies.review.aliases import find_aliases
from policies.review.allowed_names import LISTED_NAMES, WHOLE_MODULES
from policies.review.call_notes import note_calls, note_texts
from policies.review.dangers import ASKS, MODULES
from policies.review.findings import Note
from policies.review.name_notes import note_names
from policies.review.read_source import read_source
from policies.review.text_notes import note_identifiers, note_lines, note_literals

_MOST_BYTES = 1024 * 1024
_LONG_FILE = 1000
_CARRIERS = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".so", ".pyc", ".pyd", ".dll", ".whl", ".zip", ".tar", ".gz")


def source_notes(files: Mapping[str, bytes]) -> Iterator[Note]:
    """What stands out in the files of a request, by path; bounded in work, and raising nothing, whatever they hold."""
    own_modules = {path.split("/")[0].removesuffix(".py") for path in files}
    known = {name.split(".")[0] for name in (*WHOLE_MODULES, *LISTED_NAMES, *MODULES)}
    left = _MOST_BYTES
    for path, content in sorted(files.items()):
        yield from _note_kind(path, known)
        if not path.endswith(".py"):
            continue
        if len(content) > left:
            said = "This file was not looked at: there is more source than this review reads."
            yield Note(path, None, "size", "high", said, ASKS["size"])
            continue
        left -= len(content)
        yield from _note_file(path, content, own_modules)


def _note_kind(path: str, known: Collection[str]) -> Iterator[Note]:
    module = path.split("/")[0].removesuffix(".py")
    if module in known and (path.endswith(".py") or "/" in path):
        said = f"The file takes the place of the module «{as_label(module)}», which other code relies on."
        yield Note(path, None, "obfuscation", "high", said, ASKS["obfuscation"])
    if path.endswith(_CARRIERS):
        said = "A file of this kind can hold code that nobody reads here."
        yield Note(path, None, "dynamic-code", "high", said, ASKS["dynamic-code"])


def _note_file(path: str, content: bytes, own_modules: Collection[str]) -> Iterator[Note]:
    source = read_source(content)
    yield from note_lines(path, source.lines)
    if len(source.lines) > _LONG_FILE:
        yield Note(path, None, "size", "low", f"The file has {len(source.lines):,} lines.", ASKS["size"])
    if source.tree is None:
        said = f"What this file does could not be looked at: {source.problem}."
        yield Note(path, None, "unreadable", "high", said, ASKS["unreadable"])
        return
    nodes = list(ast.walk(source.tree))
    aliases = find_aliases(nodes)
    yield from note_identifiers(path, source.names)
    yield from note_literals(path, nodes)
    yield from note_names(path, nodes, aliases, own_modules)
    yield from note_calls(path, nodes, aliases)
    yield from note_texts(path, nodes)
