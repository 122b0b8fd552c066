"""The process that decodes images: locked down, for a file can be made to crash a decoder or fill the memory.

Its input and output are pipes to the datasite; of each image it knows what was declared, and nothing else.
"""

import io
import os
import struct
import zlib
from typing import Literal

from PIL import (
    ExifTags,
    Image,
    TiffImagePlugin,  # noqa: F401 – reads the EXIF data of a JPEG file, and is loaded by it at first use
)
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from datasites.catalog.image_messages import MAXIMUM_FILE_BYTES, DecodedImage, EncodedImage
from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES, Frame, read_frame, write_frame
from datasites.sandbox.lockdown import lock_down
from policies.columns import ImageColumn
from policies.errors import RefusedError, UnavailableError
from policies.statements.schema import parse_model

_INPUT = 0
_UPRIGHT = 1
_MODES = {1: "L", 3: "RGB"}
_DAMAGED = (
    Image.DecompressionBombError, OSError, EOFError, ValueError, TypeError, LookupError, SyntaxError, OverflowError,
    AttributeError, ArithmeticError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


def main(memory_bytes: int) -> None:
    """Answer each frame of `EncodedImage` with one of `DecodedImage`, until the input ends."""
    output = os.dup(1)
    os.dup2(2, 1)
    _rehearse()
    try:
        lock_down(memory_bytes)
    except RefusedError:
        write_frame(output, Frame(DecodedImage(fault="lockdown").canonical()))
        return
    while True:
        try:
            frame = read_frame(_INPUT, maximum_body=MAXIMUM_FILE_BYTES)
        except UnavailableError:
            return
        asked = parse_model(EncodedImage, frame.header, maximum_bytes=MAXIMUM_HEADER_BYTES, what="The image's message")
        write_frame(output, decode(bytes(frame.body), asked.column))


def decode(content: bytes, column: ImageColumn) -> Frame:
    """The frame that answers for one file."""
    try:
        return _decode(content, column)
    except _DAMAGED:
        return _fault("damaged")


def _decode(content: bytes, column: ImageColumn) -> Frame:
    if content.startswith(b"\x89PNG"):
        image: Image.Image = PngImageFile(io.BytesIO(content))
    elif content.startswith(b"\xff\xd8"):
        image = JpegImageFile(io.BytesIO(content))
    else:
        return _fault("format")
    if image.size != (column.width, column.height):  # before anything of that size is made
        return _fault("size")
    if image.mode != _MODES[column.channels]:
        return _fault("mode")
    if image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT:
        return _fault("orientation")
    return Frame(DecodedImage().canonical(), b"".join(band.tobytes() for band in image.split()))


def _fault(fault: Literal["format", "size", "mode", "orientation", "damaged"]) -> Frame:
    return Frame(DecodedImage(fault=fault).canonical())


def _rehearse() -> None:
    """Decode small files and damaged ones, so that all that is loaded at first use is loaded before the lockdown."""
    for mode in _MODES.values():
        for kind in ("PNG", "JPEG"):
            column = ImageColumn(type="image", name="image", channels=1 if mode == "L" else 3, height=2, width=2)
            turned = Image.Exif()
            turned[ExifTags.Base.Orientation] = 6
            for exif in (Image.Exif(), turned):
                file = io.BytesIO()
                Image.new(mode, (2, 2)).save(file, kind, exif=exif)
                content = file.getvalue()
                for attempt in (content, content[:-20], content[:40]):
                    decode(attempt, column)
