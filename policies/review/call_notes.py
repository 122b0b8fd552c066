"""Notes on calls and texts: files opened, names looked up while running, and what is said or hidden in quotes."""

import ast
import re
from collections.abc import Iterator

from policies.disclosure.finding_parts import as_label
from policies.review.aliases import Aliases
from policies.review.allowed_names import HARMLESS_DUNDERS
from policies.review.dangers import ASKS, KEYWORDS, is_dangerous_word
from policies.review.findings import Check, Note, Severity
from policies.review.name_notes import judge_attribute

_DUNDER = re.compile(r"__[a-z_]{2,40}?__")
_ADDRESS = re.compile(r"\b(?:https?|ftp|file|s3|gs|ssh|sftp|smb|jdbc)://", re.IGNORECASE)
_OUTSIDE = re.compile(r"^(?:/|~|\.\.?/\.\.|\.\./|[A-Za-z]:\\)[\w.@/\\-]*[\w/\\]$")
_WRITING = re.compile("[wax+]")
_DEEPEST_FOLD = 20


def note_calls(place: str, nodes: list[ast.AST], aliases: Aliases) -> Iterator[Note]:
    """Calls whose arguments decide what they do."""
    for node in nodes:
        if isinstance(node, ast.ClassDef) and any(it.arg == "metaclass" for it in node.keywords):
            yield _note(place, node, "reflection", "medium", "This class is made by code of its own (a metaclass).")
        if isinstance(node, ast.Call):
            yield from _note_keywords(place, node)
            names = aliases.of(node.func)
            attribute = node.func.attr if isinstance(node.func, ast.Attribute) else None
            if "builtins.getattr" in names:
                yield from _note_getattr(place, node)
            if "builtins.type" in names and len(node.args) == 3:
                yield _note(place, node, "reflection", "medium", "A class is made while the program runs.")
            if "builtins.open" in names:
                yield _note_open(place, node, node.args[0] if node.args else None, 1)
            elif attribute == "open":
                yield _note_open(place, node, None, 0)
            elif attribute in ("eval", "query") and node.args:
                yield _note(place, node, "dynamic-code", "medium", f"A text is run as an expression («.{attribute}»).")


def note_texts(place: str, nodes: list[ast.AST]) -> Iterator[Note]:
    """Texts that name Python's inside, places elsewhere, or put a name together from pieces."""
    documentation = {id(it) for node in nodes if (it := _docstring(node)) is not None}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _note_text(place, node, node.value, id(node) in documentation)
        elif isinstance(node, ast.BinOp | ast.JoinedStr | ast.Subscript | ast.Call):
            folded = _fold(node, 0)
            if folded is not None and any(is_dangerous_word(word) for word in re.findall(r"\w+", folded)):
                said = f"The text «{as_label(folded)}» is put together from pieces, so that it cannot be searched for."
                yield _note(place, node, "obfuscation", "high", said)


def _note_text(place: str, node: ast.Constant, text: str, documents: bool) -> Iterator[Note]:
    for word in sorted(set(_DUNDER.findall(text)) - HARMLESS_DUNDERS):
        if (danger := judge_attribute(word)) is not None:
            said = f"A text names «{as_label(word)}», a way into Python's own workings."
            yield _note(place, node, "reflection", danger.severity, said)
    if documents:
        return
    if _ADDRESS.search(text):
        yield _note(place, node, "input-output", "medium", f"An address is named: «{as_label(text)}».")
    if _OUTSIDE.match(text):
        said = f"A place outside the request's own folder is named: «{as_label(text)}»."
        yield _note(place, node, "input-output", "medium", said)


def _note_getattr(place: str, node: ast.Call) -> Iterator[Note]:
    name = node.args[1] if len(node.args) > 1 else None
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        yield _note(place, node, "dynamic-code", "high", "Which attribute is taken is computed while the program runs.")
    elif name.value.startswith("_") or is_dangerous_word(name.value):
        said = f"The attribute «{as_label(name.value)}» is taken by a text instead of by its name."
        yield _note(place, node, "reflection", "high", said)


def _note_open(place: str, node: ast.Call, path: ast.expr | None, mode_at: int) -> Note:
    mode: ast.expr | None = node.args[mode_at] if len(node.args) > mode_at else None
    mode = next((it.value for it in node.keywords if it.arg == "mode"), mode)
    writes = mode is not None and not (isinstance(mode, ast.Constant) and not _WRITING.search(str(mode.value)))
    what = "written" if writes else "read"
    if path is not None and not isinstance(path, ast.Constant):
        return _note(place, node, "input-output", "low", f"A file is {what}; which one is computed.")
    named = f" («{as_label(str(path.value))}»)" if isinstance(path, ast.Constant) else ""
    return _note(place, node, "input-output", "low", f"A file is {what} here{named}.")


def _note_keywords(place: str, node: ast.Call) -> Iterator[Note]:
    for it in node.keywords:
        name = it.arg or ""
        if name in KEYWORDS and isinstance(it.value, ast.Constant) and it.value.value == KEYWORDS[name]:
            said = f"The argument {name}={it.value.value!r} lets what is loaded run as code."
            yield _note(place, it.value, "dynamic-code", "high", said)


def _fold(node: ast.expr, depth: int) -> str | None:
    """The text that an expression of fixed pieces makes; None if it has others."""
    if depth > _DEEPEST_FOLD:
        return None
    pieces: list[ast.expr] = []
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            pieces = [left, right]
        case ast.JoinedStr(values=values):
            pieces = values
        case ast.FormattedValue(value=value):
            pieces = [value]
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=""), attr="join"), args=[ast.List(elts=elements)]):
            pieces = elements
        case ast.Subscript(value=value, slice=ast.Slice(step=ast.UnaryOp(op=ast.USub()))):
            backwards = _fold(value, depth + 1)
            return None if backwards is None else backwards[::-1]
    folded = [_fold(piece, depth + 1) for piece in pieces]
    return "".join(it for it in folded if it is not None) if folded and None not in folded else None


def _docstring(node: ast.AST) -> ast.expr | None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
        first = node.body[0]
        return first.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None
    return None


def _note(place: str, node: ast.expr | ast.stmt, check: Check, severity: Severity, sentence: str) -> Note:
    return Note(place, node.lineno, check, severity, sentence, ASKS[check])
