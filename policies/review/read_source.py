"""Reads Python source into its syntax tree within bounds: nothing is executed, and no source can exhaust the reader."""

import ast
import io
import tokenize
import warnings
from dataclasses import dataclass

MAXIMUM_SOURCE_BYTES = 256 * 1024
_MOST_TOKENS = 60_000
_DEEPEST_BRACKETS = 30
_LONGEST_PREFIX = 30
_DEEPEST_TREE = 200
_PREFIXES = frozenset({"-", "+", "~", "not", "lambda", "await"})


@dataclass(frozen=True)
class Source:
    """One file: its lines as Python counts them, its names as spelled, and its tree, or the reason that it has none."""

    lines: tuple[str, ...]
    names: tuple[tuple[int, str], ...]
    tree: ast.Module | None
    problem: str


def read_source(content: bytes) -> Source:
    """Read one file; what cannot be read has no tree and a `problem`, a clause such as "it is no UTF-8"."""
    if len(content) > MAXIMUM_SOURCE_BYTES:
        return Source((), (), None, f"it has {len(content):,} bytes, and {MAXIMUM_SOURCE_BYTES:,} are read at most")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Source((), (), None, "it is no UTF-8 text")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = tuple(text.split("\n"))
    try:
        names = _names(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(text)
        _require_shallow(tree)
    except _BeyondBoundsError as error:
        return Source(lines, (), None, str(error))
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError):
        return Source(lines, (), None, "Python cannot parse it")
    return Source(lines, names, tree, "")


class _BeyondBoundsError(Exception):
    """The source is nested deeper, or longer, than this reader goes."""


def _names(text: str) -> tuple[tuple[int, str], ...]:
    """Each name with its line; nesting is bounded on the way, since a parser's time can double with each level."""
    names, depth, run = [], 0, 0
    for count, token in enumerate(tokenize.generate_tokens(io.StringIO(text).readline)):
        if token.type == tokenize.NAME:
            names.append((token.start[0], token.string))
        run = run + 1 if token.string in _PREFIXES else 0
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        if count >= _MOST_TOKENS or depth > _DEEPEST_BRACKETS or run > _LONGEST_PREFIX:
            raise _BeyondBoundsError("it is nested too deeply, or has too many words, to be read")
    return tuple(names)


def _require_shallow(tree: ast.Module) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(_DEEPEST_TREE):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise _BeyondBoundsError("it is nested too deeply to be read")
