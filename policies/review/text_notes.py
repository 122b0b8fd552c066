"""Notes on how source looks: characters that mislead, code out of sight, unreadable names, packed data."""

import ast
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from policies.disclosure.finding_parts import as_label
from policies.review.dangers import ASKS
from policies.review.findings import Check, Note, Severity
from policies.statements.schema import PLAIN_TEXT

_PLAIN = re.compile(PLAIN_TEXT)
_LONGEST_LINE = 300
_LONGEST_NAME = 100
_OUT_OF_SIGHT = re.compile(r"(?<=\S)\s{60,}\S|^\s{160,}\S")
_LOOK_ALIKES = re.compile(r"(?=.*[O0])(?=.*0)[O0_]{3,}|(?=.*[lI])(?=.*[1lI])[Il1O0_]{4,}|_{4,}|[a-zA-Z_]*[Il1O0]{6,}")
_PACKED = re.compile(r"^[A-Za-z0-9+/=_\-\s]{80,}$")
_LONG_TEXT = 2000
_SHORTEST_DENSE = 64
_DENSE_BITS = 4.5
_LONGEST_TABLE = 200
_MANY_ESCAPES = 0.3


def note_lines(place: str, lines: Sequence[str]) -> Iterator[Note]:
    """Lines with characters that are not seen or turn the order round, and lines that run out of sight."""
    for number, line in enumerate(lines, 1):
        if not _PLAIN.match(line):
            said = "The line has invisible or direction-changing characters: it may not say what it seems to."
            yield _note(place, number, "hidden-text", "high", said)
        if _OUT_OF_SIGHT.search(line):
            said = "Code stands far to the right, behind a gap, where it is easily missed."
            yield _note(place, number, "hidden-text", "high", said)
        if len(line) > _LONGEST_LINE:
            said = f"The line has {len(line):,} characters."
            yield _note(place, number, "hidden-text", "medium", said)


def note_identifiers(place: str, names: Sequence[tuple[int, str]]) -> Iterator[Note]:
    """Names that look like others, or like nothing."""
    for line, name in names:
        if not name.isascii():
            yield from _note_alphabet(place, line, name)
        elif len(name) > _LONGEST_NAME or _LOOK_ALIKES.fullmatch(name):
            said = f"The name «{as_label(name)}» is made so that it cannot be told from others."
            yield _note(place, line, "obfuscation", "medium", said)


def note_literals(place: str, nodes: list[ast.AST]) -> Iterator[Note]:
    """Texts and tables that hold something which cannot be read."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _note_text(place, node.lineno, node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, bytes):
            strange = sum(not 32 <= byte < 127 for byte in node.value)
            if len(node.value) >= 16 and strange > _MANY_ESCAPES * len(node.value):
                yield _note(place, node.lineno, "obfuscation", "medium", "Bytes stand here that are no text.")
            yield from _note_text(place, node.lineno, node.value.decode("latin-1"))
        elif isinstance(node, ast.List | ast.Tuple | ast.Set) and len(node.elts) > _LONGEST_TABLE:
            said = f"A table of {len(node.elts):,} values is written into the source."
            yield _note(place, node.lineno, "obfuscation", "medium", said)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int) and abs(node.value) >= 1 << 128:
            yield _note(place, node.lineno, "obfuscation", "medium", "A number so large may hold a text or a program.")


def _note_text(place: str, line: int, text: str) -> Iterator[Note]:
    if not _PLAIN.match(text):
        said = "A text holds invisible or direction-changing characters, perhaps written as escapes."
        yield _note(place, line, "hidden-text", "medium", said)
    if _PACKED.match(text) and _entropy(text) > 3 and not re.search(r"[a-z] [a-z]", text):
        said = f"A text of {len(text):,} characters looks like data packed into letters."
        yield _note(place, line, "obfuscation", "high", said)
    elif len(text) >= _SHORTEST_DENSE and " " not in text and _entropy(text) > _DENSE_BITS:
        yield _note(place, line, "obfuscation", "medium", "A text looks random: it may be packed or encrypted.")
    if len(text) > _LONG_TEXT:
        yield _note(place, line, "size", "low", f"A text of {len(text):,} characters stands in the source.")


def _note_alphabet(place: str, line: int, name: str) -> Iterator[Note]:
    if unicodedata.normalize("NFKC", name) != name:
        said = f"The name «{as_label(name)}» is another one to Python than it looks."
        yield _note(place, line, "hidden-text", "high", said)
        return
    alphabets = {unicodedata.name(letter, "UNKNOWN").split()[0] for letter in name if letter.isalpha()}
    if len(alphabets) > 1:
        said = f"The name «{as_label(name)}» mixes letters of {len(alphabets)} alphabets, which look alike."
        yield _note(place, line, "hidden-text", "high", said)
    elif not alphabets <= {"LATIN", "GREEK"}:
        said = f"The name «{as_label(name)}» is written in another alphabet, whose letters may look like Latin ones."
        yield _note(place, line, "hidden-text", "medium", said)


def _entropy(text: str) -> float:
    """Shannon entropy of the letters, in bits a letter."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def _note(place: str, line: int, check: Check, severity: Severity, sentence: str) -> Note:
    return Note(place, line, check, severity, sentence, ASKS[check])
