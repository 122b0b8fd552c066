"""Image files beside a table, decoded by a locked-down process of which nothing is believed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.image_messages import MAXIMUM_FILE_BYTES, DecodedImage, EncodedImage
from datasites.catalog.table_checks import MAXIMUM_PROBLEMS
from datasites.protocol.private_files import read_given_file
from datasites.sandbox.environment import OWN_PACKAGES
from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES, Frame, read_frame, write_frame
from policies.columns import ImageColumn
from policies.errors import InvalidInputError, RefusedError, UnavailableError
from policies.statements.schema import parse_model

DECODER_BYTES = 2**28
"""Most address space of the decoding process: an image has at most a million values, whatever its file says."""

_SECONDS_AN_IMAGE = 30.0
_START = (
    "import sys; sys.path.append(sys.argv[1]); from datasites.catalog.image_decoder import main; main(int(sys.argv[2]))"
)
_FAULTS: Mapping[str, str] = {
    "format": "names a file that is neither PNG nor JPEG",
    "size": "names an image of another than the declared width and height; scale it",
    "mode": "names an image that has not 8 bits in each of the declared channels; write it as grey, or as RGB",
    "orientation": (
        "names an image whose EXIF data say to turn or mirror it; turn the pixels and write it without (in Pillow "
        "ImageOps.exif_transpose)"
    ),
    "damaged": "names an image that is damaged, cut off, or takes too long to decode",
}


class ImageFiles:
    """The images that a column's cells name, by their paths below `folder`. Use it as a context manager."""

    def __init__(self, folder: Path, column: ImageColumn) -> None:
        """Read files of `folder`, and of no other, as images of the column's size."""
        self._folder, self._column = folder.resolve(), column
        self._header = EncodedImage(column=column).canonical()
        self._decoder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the decoder."""
        self._end()

    def values(self, names: Sequence[str]) -> tuple[NDArray[np.uint8], Mapping[int, str]]:
        """(names, channels, height, width): the images; and where there is none that was declared, why not.

        Raises:
            RefusedError: this machine cannot lock the decoder down.
        """
        values, faults = np.zeros((len(names), *self._column.shape), np.uint8), dict[int, str]()
        for place, name in enumerate(names):
            if len(faults) >= MAXIMUM_PROBLEMS:
                break
            content = self._content(name)
            found = content if isinstance(content, str) else self._decoded(content)
            if isinstance(found, str):
                faults[place] = found
            else:
                values[place] = found
        return values, faults

    def _content(self, name: str) -> bytes | str:
        """The bytes of the file, or why there are none."""
        if not name.strip():
            return "is empty"
        path = PurePosixPath(name)
        try:
            file = (self._folder / path).resolve()
            if path.is_absolute() or ".." in path.parts or not file.is_relative_to(self._folder):
                return "names no file in the folder of the table"
            if not file.is_file() or file.stat().st_size > MAXIMUM_FILE_BYTES:
                return f"names no plain file of at most {MAXIMUM_FILE_BYTES} bytes"
            return read_given_file(file, maximum_bytes=MAXIMUM_FILE_BYTES - 1, what="The image")
        except (OSError, ValueError, RuntimeError, InvalidInputError):  # no error's text, in which the name stands
            return "names a file that cannot be read"

    def _decoded(self, content: bytes) -> NDArray[np.uint8] | str:
        """The image in these bytes, or why there is none; a decoder that does not answer well is not asked again."""
        shape = self._column.shape
        pixels = shape[0] * shape[1] * shape[2]
        until = time.monotonic() + _SECONDS_AN_IMAGE
        try:
            sender, receiver = self._pipes()
            write_frame(sender, Frame(self._header, content), until)
            frame = read_frame(receiver, maximum_body=pixels, deadline=until)
            answer = parse_model(DecodedImage, frame.header, maximum_bytes=MAXIMUM_HEADER_BYTES, what="The answer")
        except (UnavailableError, InvalidInputError):
            self._end()
            return _FAULTS["damaged"]
        if answer.fault == "lockdown":
            raise RefusedError("This machine cannot lock down the process that decodes images; give an .npz array.")
        if answer.fault is not None:
            return _FAULTS[answer.fault]
        if len(frame.body) != pixels:
            self._end()
            return _FAULTS["damaged"]
        return np.frombuffer(frame.body, np.uint8).reshape(shape)

    def _pipes(self) -> tuple[int, int]:
        if self._decoder is None:
            self._decoder = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", _START, str(OWN_PACKAGES), str(DECODER_BYTES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={"OMP_NUM_THREADS": "1", "HOME": "/nonexistent"},
                cwd="/",
                start_new_session=True,
            )
        assert self._decoder.stdin is not None  # noqa: S101 – both are pipes
        assert self._decoder.stdout is not None  # noqa: S101
        os.set_blocking(self._decoder.stdin.fileno(), False)
        return self._decoder.stdin.fileno(), self._decoder.stdout.fileno()

    def _end(self) -> None:
        if self._decoder is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._decoder.pid, signal.SIGKILL)
        with self._decoder:
            self._decoder = None
