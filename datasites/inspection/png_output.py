"""Read a PNG output: every chunk and the size of what it unpacks to; what it shows is for a person's eyes."""

import zlib
from collections.abc import Iterator

from datasites.inspection.content import Content, LimitsError
from policies.disclosure.file_findings import Extra, Image
from policies.disclosure.findings import Finding
from policies.errors import InvalidInputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_POINTS = 100_000_000
_MOST_BYTES = 64 * 1024 * 1024
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = (1, 2, 4, 8, 16)
_SHOWN = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_SHORT = {b"pHYs": 9, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32, b"bKGD": 6, b"sBIT": 4, b"tIME": 7, b"tEXt": 100}
_PIECE = 2**20


def read_png(output: str, data: bytes) -> Content:
    """Walk through the chunks; an image is always held, and bytes beside it are told.

    One short comment, as plotting libraries leave it, is not counted as such.

    Raises:
        LimitsError: it has too many points or bytes.
        InvalidInputError: it is no well-formed PNG.
    """
    if len(data) > _MOST_BYTES:
        raise LimitsError
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND" or len(chunks[0][1]) != 13:
        raise InvalidInputError("The output is no PNG.")
    header = chunks[0][1]
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, kind, interlaced = header[8], header[9], header[12]
    if kind not in _CHANNELS or depth not in _DEPTHS or not width or not height:
        raise InvalidInputError("The output is no PNG.")
    if width * height > _MOST_POINTS:
        raise LimitsError
    line = 1 + (width * _CHANNELS[kind] * depth + 7) // 8
    most = height * line if not interlaced else 2 * height * (line + 8) + 64
    extra = _after_image([body for name, body in chunks if name == b"IDAT"], most)
    spared: set[bytes] = set()
    for name, body in chunks:
        if name not in _SHOWN and (name in spared or len(body) > _SHORT.get(name, -1)):
            extra += len(body)
        spared.add(name)
    extra += len(data) - len(SIGNATURE) - sum(12 + len(body) for _, body in chunks)
    found: list[Finding] = [Image(output=output, width=width, height=height)]
    if extra:
        found.append(Extra(output=output, bytes=extra))
    texts = tuple(body.decode("latin-1") for name, body in chunks if name not in _SHOWN)
    return Content(output, texts=texts, found=tuple(found))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks up to the end chunk, each with a right checksum."""
    place = len(SIGNATURE)
    while place < len(data):
        length, name = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        stored = data[place + 8 + length : place + 12 + length]
        if len(body) != length or stored != zlib.crc32(name + body).to_bytes(4, "big"):
            raise InvalidInputError("The output is a damaged PNG.")
        yield name, body
        place += 12 + length
        if name == b"IEND":
            return


def _after_image(bodies: list[bytes], most: int) -> int:
    """Bytes after the end of the packed image, or beyond its size when unpacked.

    Raises:
        InvalidInputError: it does not unpack.
    """
    unpacker = zlib.decompressobj()
    packed, unpacked = b"".join(bodies), 0
    try:
        while packed and not unpacker.eof:
            unpacked += len(unpacker.decompress(packed, _PIECE))
            packed = unpacker.unconsumed_tail
            if unpacked > most:
                return unpacked - most + len(packed)
    except zlib.error as error:
        raise InvalidInputError("The output is a damaged PNG.") from error
    return len(unpacker.unused_data)
