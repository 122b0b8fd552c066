"""Notes on names: every import and dotted name of a source, against the allow-list and what is known of others."""

import ast
from collections.abc import Collection, Iterator

from policies.disclosure.finding_parts import as_label
from policies.review.aliases import Aliases
from policies.review.allowed_names import HARMLESS_DUNDERS, LISTED_NAMES, beyond_allowed
from policies.review.dangers import ASKS, ATTRIBUTES, BUILTINS, DOTTED, MODULES, Danger
from policies.review.findings import Note

_UNLISTED_MODULE = Danger("import", "medium", "is not on the list of modules that analyses usually need")
_UNLISTED_NAME = Danger("name", "low", "is not on the list of names that analyses usually need")
_PRIVATE = Danger("reflection", "medium", "is private to its module or to Python, and not meant to be used")
_SHORT_NAMES = {"np": "numpy", "pd": "pandas", "mpl": "matplotlib"}
_EVERYTHING = Danger("import", "medium", "brings in names without saying which")


def note_names(place: str, nodes: list[ast.AST], aliases: Aliases, own_modules: Collection[str]) -> Iterator[Note]:
    """What a file imports and which names it uses; `own_modules` are those that came along with it."""
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in _modules(node, own_modules):
                yield from _told(place, node.lineno, name, _judge_import(name))
        elif isinstance(node, ast.Name | ast.Attribute):
            told = [] if id(node) in inner else list(_note_use(place, node, aliases, own_modules))
            yield from told
            if isinstance(node, ast.Attribute) and not told:
                yield from _told(place, _end(node), node.attr, judge_attribute(node.attr))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _told(place, node.lineno, node.name, judge_attribute(node.name))


def judge_attribute(name: str) -> Danger | None:
    """What an attribute is known for, whatever object it belongs to."""
    if name in ATTRIBUTES:
        return ATTRIBUTES[name]
    is_dunder = name.startswith("__") and name.endswith("__")
    return _PRIVATE if is_dunder and name not in HARMLESS_DUNDERS else None


def _note_use(
    place: str, node: ast.Name | ast.Attribute, aliases: Aliases, own_modules: Collection[str]
) -> Iterator[Note]:
    for name in aliases.of(node):
        if name.split(".")[0] not in own_modules:
            yield from _told(place, _end(node), name.removeprefix("builtins."), _judge(name))


def _modules(node: ast.Import | ast.ImportFrom, own_modules: Collection[str]) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        if node.level or not node.module or node.module.split(".")[0] in own_modules:
            return
        yield from (f"{node.module}.{it.name}" for it in node.names)
    else:
        yield from (it.name for it in node.names if it.name.split(".")[0] not in own_modules)


def _judge_import(name: str) -> Danger | None:
    if name.endswith(".*"):
        return _judge(name.removesuffix(".*")) or _EVERYTHING
    found = _judge(name)
    return _UNLISTED_MODULE if found is _UNLISTED_NAME else found


def _judge(name: str) -> Danger | None:
    """What a dotted name is known for; None if it is on the allow-list."""
    parts = name.split(".")
    if parts[0] == "builtins" and len(parts) > 1:
        return BUILTINS.get(parts[1])
    for depth in range(len(parts), 0, -1):
        if found := DOTTED.get(".".join(parts[:depth])):
            return found
    for place, part in enumerate(parts[1:], 1):
        library = _SHORT_NAMES.get(part, part)
        if library in LISTED_NAMES and (found := _judge(".".join([library, *parts[place + 1 :]]))):
            return found  # a library within a library: torch.nn.functional.torch is torch
    beyond = beyond_allowed(name)
    for part in parts if beyond is None else beyond:
        # A module that an allowed one has imported for itself is as good as that one: random._os is os.
        if found := MODULES.get(part) or MODULES.get(part.lstrip("_")):
            return found
    if any(part.startswith("_") and part not in HARMLESS_DUNDERS for part in parts):
        return _PRIVATE
    return _UNLISTED_NAME if beyond is None else None


def _told(place: str, line: int, name: str, danger: Danger | None) -> Iterator[Note]:
    if danger is not None:
        sentence = f"«{as_label(name)}» is used here: it {danger.does}."
        yield Note(place, line, danger.check, danger.severity, sentence, ASKS[danger.check])


def _end(node: ast.expr) -> int:
    """The line of an expression's last word: in a chain over several lines, that of the attribute itself."""
    return node.end_lineno or node.lineno
