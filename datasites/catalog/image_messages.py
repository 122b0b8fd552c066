"""What the datasite and the decoder of images say to each other, as headers of frames."""

from typing import Literal

from policies.columns import ImageColumn
from policies.statements.schema import StrictModel

MAXIMUM_FILE_BYTES = 2**23


class EncodedImage(StrictModel):
    """An image to decode: body = a PNG or JPEG file, of at most `MAXIMUM_FILE_BYTES`."""

    column: ImageColumn


class DecodedImage(StrictModel):
    """The answer: body = the column's uint8 [channels, height, width] if there is no fault, else nothing."""

    fault: Literal["format", "size", "mode", "orientation", "damaged", "lockdown"] | None = None
