"""Names that researchers choose and that become paths and labels at a site: few characters, and no way out."""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_RESERVED_FOLDER = re.compile(r"v[0-9]+")
DEEPEST_PATH = 8
LONGEST_PATH = 200
FILE_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
"""A pattern for one part of a path."""

FileName = Annotated[str, StringConstraints(pattern=f"^{FILE_NAME}$")]
"""A file's own name: letters, digits and `_.-`; it never begins with a dot or a hyphen."""


FilePath = Annotated[
    str,
    StringConstraints(pattern=f"^{FILE_NAME}(/{FILE_NAME}){{0,{DEEPEST_PATH - 1}}}$", max_length=LONGEST_PATH),
]
"""A relative path of `FileName`s with `/` between them: no `..`, no hidden parts, at most eight deep."""


def _job_name(value: str) -> str:
    if value != value.strip() or _RESERVED_FOLDER.fullmatch(value):
        raise ValueError("a job's name has no spaces around it, and is no version such as v1")
    return value


JobName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,99}$"), AfterValidator(_job_name)]
"""What a researcher calls a job. PySyft makes a folder of it and shows it unescaped in pages: no markup fits in."""


def _file_set_name(value: str) -> str:
    if _RESERVED_FOLDER.fullmatch(value):
        raise ValueError("PySyft keeps names such as v1 for itself; choose another")
    return value


FileSetName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"), AfterValidator(_file_set_name)
]
"""What an owner calls a set of files, as in PySyft."""

SYFT_FILES = frozenset({"dataset.yaml", "private_metadata.yaml", "readme.md", "syft.pub.yaml"})
"""Names, in small letters, that PySyft's own files have among those of a set."""


def _data_file_name(value: str) -> str:
    if value.lower() in SYFT_FILES:
        raise ValueError(f"PySyft keeps the names {', '.join(sorted(SYFT_FILES))} for itself; rename the file")
    return value


DataFileName = Annotated[FileName, AfterValidator(_data_file_name)]
"""The name of a file in a set of files."""

Email = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}$", max_length=200),
]
"""An e-mail address as PySyft names people by; a label, proof of nothing."""
