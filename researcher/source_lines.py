"""Where in the researcher's own files something stands: for errors, as (plan.py:12 `x = x.sort().values`)."""

import inspect
import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FunctionType, TracebackType

from torch import fx

from researcher.source_context import is_installed

_OURS = str(Path(__file__).parent)
_FRAME = re.compile(r'^File "(?P<file>[^"]+)", line (?P<line>\d+)')
_LONGEST = 120


def line_of_node(node: fx.Node) -> str:
    """The researcher's innermost line that made a node of an exported graph, in brackets after a space; or nothing."""
    lines = [line.strip() for line in str(node.meta.get("stack_trace", "")).splitlines() if line.strip()]
    found = ""
    for place, line in enumerate(lines):
        match = _FRAME.match(line)
        if match and _is_own(match["file"]):
            text = lines[place + 1] if place + 1 < len(lines) and not _FRAME.match(lines[place + 1]) else ""
            found = _place(match["file"], int(match["line"]), text)
    return found


def line_of_error(error: BaseException) -> str:
    """The researcher's innermost line that an error came through, or that its cause came through; or nothing."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    return next((line for each in reversed(chain) if (line := _last_line(each.__traceback__))), "")


def line_that_names(classes: Iterable[type], word: str) -> str:
    """The first line in the methods of `classes` in which `word` stands; or nothing."""
    for function in (value for cls in classes for value in vars(cls).values() if isinstance(value, FunctionType)):
        lines, first = _source(function)
        for offset, line in enumerate(lines):
            if re.search(rf"\b{re.escape(word)}\b", line):
                return _place(function.__code__.co_filename, first + offset, line)
    return ""


def line_of_function(function: object) -> str:
    """The line where a function or method begins; or nothing."""
    code = getattr(function, "__code__", None)
    lines, first = _source(function)
    return _place(code.co_filename, first, lines[0]) if code and lines else ""


def _source(function: object) -> tuple[Sequence[str], int]:
    try:
        return inspect.getsourcelines(function)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return (), 0


def _last_line(start: TracebackType | None) -> str:
    own = [frame for frame in traceback.extract_tb(start) if _is_own(frame.filename)]
    return _place(own[-1].filename, own[-1].lineno or 0, own[-1].line or "") if own else ""


def _is_own(file: str) -> bool:
    return not file.startswith((_OURS, "<")) and not is_installed(file)


def _place(file: str, line: int, text: str) -> str:
    code = f" `{text.strip()[:_LONGEST]}`" if text.strip() else ""
    return f" ({Path(file).name}:{line}{code})"
