"""Changes a field or a few of well-formed bytes and spells the result canonically: such inputs reach inner checks."""

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from tests.fuzz.forms import Form, spell

_AWKWARD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 100, 10_001, 2**31, 2**32, 2**53 - 1, 2**53, -(2**53), 2**64, 10**400),
    *(0.5, -0.0, 1e-6, 1e-320, 5e-324, 1e15, 1e16, 1e21, 1e308, -1.5, 1.0000000000000002, float("inf"), float("nan")),
    *("", " ", "\x00", "\n", "\u2028", "\u202e", "\ufeff", "\ud800", "\U000e0001", "e\u0301", "0", "-1", "NaN", "../x"),
    *("0" * 32, "0" * 64, "f" * 64, "0" * 128, "F" * 64, "a" * 101, "a" * 2001, "a.b.c", "1\n2"),
    *([], {}, [[]], [{}], {"": 0}, {"a": {}}, [0] * 9, ["a", "a"]),
)

_MOST_COPIED = 20_000


def mutate(data: bytes, form: Form, random: Random, elsewhere: Callable[[bytes], bytes], most_bytes: int) -> bytes:
    """A variant of `data`: its fields changed where it has some, otherwise (and now and then) as `elsewhere` does."""
    if random.random() < 0.15:
        return elsewhere(data)[:most_bytes]
    try:
        tree, put = form.take(data, random)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            tree = _changed(tree, random)
        changed = put(tree)
    except (ValueError, RecursionError, IndexError, TypeError, AttributeError):
        return elsewhere(data)[:most_bytes]
    return changed if len(changed) <= most_bytes else elsewhere(data)[:most_bytes]


def flip(data: bytes, random: Random) -> bytes:
    """One bit changed, or a piece dropped, doubled or overwritten: what is done where no fuzzer's own mutations are."""
    if not data:
        return random.randbytes(random.randrange(1, 40))
    start = random.randrange(len(data))
    end = min(len(data), start + random.choice((1, 1, 4, 30)))
    match random.randrange(4):
        case 0:
            return data[:start] + bytes([data[start] ^ 1 << random.randrange(8)]) + data[start + 1 :]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:end] + data[start:end] * random.choice((1, 1, 200)) + data[end:]
    return data[:start] + random.randbytes(end - start) + data[end:]


def _changed(tree: Any, random: Random) -> Any:
    """`tree` with one change somewhere; the tree given is used up."""
    places = list(_places(tree))
    if not places or random.random() < 0.02:
        return deepcopy(random.choice(_AWKWARD))
    holder, key = random.choice(places)
    value = holder[key]
    match random.randrange(10):
        case 0 | 1 | 2:
            holder[key] = deepcopy(random.choice(_AWKWARD))
        case 3 | 4 | 5:
            holder[key] = _near(value, random)
        case 6:
            other, other_key = random.choice(places)
            holder[key] = deepcopy(other[other_key])
        case 7:
            del holder[key]
        case 8 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), deepcopy(value))
        case 8:
            holder[random.choice(("extra", "type", "", key + "x"))] = deepcopy(value)
        case _:
            holder[key] = _nested(value, random)
    return tree


def _near(value: Any, random: Random) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + random.choice((-1, 1, 2, 1000))
        case float():
            return value * random.choice((-1, 0.5, 2, 1e9, 1e-9))
        case str() if value[:1] == "{":
            try:
                return spell(_changed(json.loads(value), random)).decode(errors="replace")
            except ValueError:
                return value[1:]
        case str() if value:
            place = random.randrange(len(value))
            return (
                value[:place] + random.choice(("", "0", "a", "f", "é", "\u200b", value[place] * 2)) + value[place + 1 :]
            )
        case list():
            random.shuffle(value)
    return value


def _nested(value: Any, random: Random) -> Any:
    match random.randrange(4):
        case 0:
            times = random.choice((2, 9, 101, 1001))
            return [deepcopy(value) for _ in range(times if times * len(spell(value)) < _MOST_COPIED else 2)]
        case 1:
            for _ in range(random.choice((1, 60, 70))):
                value = [value]
            return value
        case 2:
            return {"a": value}
    return str(value)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [tree]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        found.extend((holder, key) for key in keys)
        pending.extend(holder[key] for key in keys)
    return found
