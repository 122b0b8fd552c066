"""TOML that people write: strictly bounded, so that no file can stop whoever reads it."""

import re
import tomllib
from typing import Any

from policies.errors import InvalidInputError

_LONGEST_DETAIL = 200
# tomllib takes time that grows with the square of a dotted key's parts; longer parts leave no room for many of them.
_PART = r"""(?:[A-Za-z0-9_-]{1,200}|"(?:\\.|[^"\\\n]){0,200}"|'[^'\n]{0,200}')"""
_ENDLESS_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PART}[ \t]*\.[ \t]*){{32}}")


def parse_toml(data: bytes, *, maximum_bytes: int, what: str) -> dict[str, Any]:
    """Parse a TOML file of UTF-8 text; `what` names it in errors.

    Raises:
        InvalidInputError: it is too long, not TOML, or nested too deeply, with the line where that shows.
    """
    if len(data) > maximum_bytes:
        raise InvalidInputError(f"{what} has {len(data)} bytes; at most {maximum_bytes} are accepted.")
    try:
        text = data.decode()
        if _ENDLESS_KEY.search(text):
            raise InvalidInputError(f"{what} joins more than 32 names by dots; shorten that key, or space that text.")
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        detail = str(error)[:_LONGEST_DETAIL]
        raise InvalidInputError(f"{what} is not a TOML file in UTF-8: {detail}.") from error
