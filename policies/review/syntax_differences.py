"""What differs between two sources, by syntax tree: layout and comments are no change, docstrings are told apart."""

import ast
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import NamedTuple

from policies.review.read_source import read_source

WHOLE_FILE = "the file"
_LONGEST_SHOWN = 120
_MOST_ALIGNED = 600
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_KINDS = {ast.FunctionDef: "function", ast.AsyncFunctionDef: "asynchronous function", ast.ClassDef: "class"}
_WORDLESS = ast.operator | ast.unaryop | ast.cmpop | ast.boolop | ast.expr_context


class Edit(NamedTuple):
    """One difference: where it stands, and both texts; None where there was, or is, nothing."""

    where: str
    line: int | None
    before: str | None
    after: str | None


class SourceEdits(NamedTuple):
    """Differences that can change what runs, and those of docstrings."""

    code: tuple[Edit, ...]
    documentation: tuple[Edit, ...]


def source_edits(before: bytes, after: bytes) -> SourceEdits:
    """Compare two Python files; where one cannot be parsed, any other byte is one edit of the whole."""
    old, new = read_source(before), read_source(after)
    if old.tree is None or new.tree is None:
        same = before == after
        return SourceEdits(() if same else (Edit(WHOLE_FILE, None, "another text", "this text"),), ())
    old_documents, new_documents = _take_docstrings(old.tree), _take_docstrings(new.tree)
    edits = _Comparison().of(old.tree, new.tree)
    return SourceEdits(tuple(edits), tuple(_documentation(old_documents, new_documents)))


class _Comparison:
    """Walks two trees side by side down to the smallest parts that differ.

    Each node has a number that stands for its whole subtree: equal numbers, equal trees.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[object, ...], int] = {}
        self._known: dict[int, int] = {}

    def of(self, old: ast.AST, new: ast.AST) -> list[Edit]:
        return list(self._nodes(old, new, WHOLE_FILE))

    def _nodes(self, old: ast.AST, new: ast.AST, where: str) -> Iterator[Edit]:
        if self._number(old) == self._number(new):
            return
        if type(old) is not type(new):
            yield _edit(where, new, old, new)
            return
        inside, own_words = _inside(where, new), False
        for name in new._fields:
            first, second = getattr(old, name, None), getattr(new, name, None)
            if isinstance(first, list) and isinstance(second, list):
                if any(isinstance(it, _WORDLESS) for it in (*first, *second)):
                    own_words = own_words or self._number(first) != self._number(second)
                else:
                    yield from self._lists(first, second, inside, new)
            elif isinstance(second, _WORDLESS) or (not isinstance(first, ast.AST) and not isinstance(second, ast.AST)):
                own_words = own_words or self._number(first) != self._number(second)
            elif isinstance(first, ast.AST) and isinstance(second, ast.AST):
                yield from self._nodes(first, second, inside)
            else:
                yield _edit(inside, new, first, second)
        if own_words:  # what has no text of its own, such as an operator, is told as the whole that it belongs to
            yield _edit(where, new, old, new)

    def _lists(self, old: list[object], new: list[object], where: str, parent: ast.AST) -> Iterator[Edit]:
        keys = [[self._number(it) for it in side] for side in (old, new)]
        for tag, first, last, start, end in _aligned(*keys):
            if tag == "equal":
                continue
            removed, added = old[first:last], new[start:end]
            for one, other in zip(removed, added, strict=False):
                if isinstance(one, ast.AST) and isinstance(other, ast.AST):
                    yield from self._nodes(one, other, where)
                elif one != other:
                    yield _edit(where, parent, one, other)
            for gone in removed[len(added) :]:
                yield _edit(where, parent, gone, None)
            for come in added[len(removed) :]:
                yield _edit(where, come if hasattr(come, "lineno") else parent, None, come)

    def _number(self, item: object) -> int:
        if isinstance(item, ast.AST):
            known = self._known.get(id(item))
            if known is None:
                fields = (self._number(getattr(item, name, None)) for name in item._fields)
                known = self._known[id(item)] = self._new_number((type(item).__name__, *fields))
            return known
        if isinstance(item, list):
            return self._new_number(("list", *(self._number(it) for it in item)))
        return self._new_number(("word", type(item).__name__, repr(item)))

    def _new_number(self, key: tuple[object, ...]) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _aligned(old: list[int], new: list[int]) -> list[tuple[str, int, int, int, int]]:
    """Operations that turn one list into the other; equal heads and tails are set aside, so that work is bounded."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    first, second = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(first) == len(second) or max(len(first), len(second)) > _MOST_ALIGNED:
        return [("replace", head, head + len(first), head, head + len(second))]
    found = SequenceMatcher(None, first, second, autojunk=False).get_opcodes()
    return [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in found]


def _take_docstrings(tree: ast.Module) -> dict[str, str]:
    """Take every docstring out of the tree; what it said, by the name of what it documents."""
    found: dict[str, str] = {}
    waiting: list[tuple[ast.AST, str]] = [(tree, WHOLE_FILE)]
    while waiting:
        node, where = waiting.pop()
        if isinstance(node, ast.Module | _Definition) and (text := ast.get_docstring(node)) is not None:
            found[where] = text
            node.body = node.body[1:] or [ast.Pass(lineno=1, col_offset=0)]
        waiting.extend((child, _inside(where, child)) for child in ast.iter_child_nodes(node))
    return found


def _documentation(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Edit]:
    for where in sorted(old.keys() | new.keys()):
        if old.get(where) != new.get(where):
            yield _edit(where, None, old.get(where), new.get(where))


def _inside(where: str, node: ast.AST) -> str:
    if not isinstance(node, _Definition):
        return where
    return node.name if where == WHOLE_FILE else f"{where}.{node.name}"


def _edit(where: str, at: object, old: object, new: object) -> Edit:
    before, after = shortened(_text(old), _text(new))
    return Edit(where, getattr(at, "lineno", None), before, after)


def _text(item: object) -> str | None:
    if item is None or isinstance(item, str):
        return item
    if isinstance(item, _Definition):
        return f"{_KINDS[type(item)]} {item.name}"
    return ast.unparse(item) if isinstance(item, ast.AST) else repr(item)


def shortened(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Both texts on one line each, cut round the first place where they differ."""
    old, new = (None if it is None else " ".join(it.split()) for it in (before, after))
    start = 0
    if old is not None and new is not None and max(len(old), len(new)) > _LONGEST_SHOWN:
        same = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(new))
        start = max(0, same - _LONGEST_SHOWN // 2)
    return _cut(old, start), _cut(new, start)


def _cut(text: str | None, start: int) -> str | None:
    if text is None:
        return None
    shown = text[start : start + _LONGEST_SHOWN]
    return ("…" if start else "") + shown + ("…" if start + len(shown) < len(text) else "")
