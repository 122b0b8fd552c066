"""What a message carries: small content rides in the sealed letter itself, larger content is a blob at the relay."""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from datasites.protocol.blobs import BlobReference, flat_view, open_stream, require_size
from datasites.protocol.sealed import SealedMemory
from policies.errors import InvalidInputError
from policies.statements.schema import StrictModel

MAXIMUM_LETTER_CONTENT_BYTES = 64 * 1024
_BASE64_CHARACTERS = -(-MAXIMUM_LETTER_CONTENT_BYTES // 3) * 4
_BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


class LetterContent(StrictModel):
    """Content of at most 64 KiB inside the message, in base64 (RFC 4648, section 4): it costs no request of its own."""

    model_config = ConfigDict(hide_input_in_errors=True)

    where: Literal["letter"] = "letter"
    content: Annotated[
        str,
        StringConstraints(max_length=_BASE64_CHARACTERS, pattern=_BASE64),
        Field(repr=False),
    ]

    @property
    def plain_size(self) -> int:
        """How many bytes the content has."""
        return len(self.content) // 4 * 3 - self.content.count("=")

    def plain(self) -> bytes:
        """The content.

        Raises:
            InvalidInputError: it is not written in base64.
        """
        try:
            return base64.b64decode(self.content, validate=True)
        except binascii.Error as error:
            raise InvalidInputError("The content in this letter is not written in base64.") from error


Content = Annotated[LetterContent | BlobReference, Field(discriminator="where")]


def in_letter(pieces: Iterable[bytes | memoryview], size: int) -> LetterContent:
    """Small content that comes in pieces, as a letter carries it.

    Raises:
        InvalidInputError: the pieces do not add up to `size`.
    """
    content = bytearray()
    for piece in pieces:  # each may be gone when the next one comes
        content += piece
    if len(content) != size:
        raise InvalidInputError(f"Content of {size} bytes was announced, and {len(content)} came.")
    return LetterContent(content=base64.b64encode(content).decode())


def wrap(content: bytes | memoryview) -> tuple[LetterContent | BlobReference, SealedMemory | None]:
    """What a message says of `content`, and what must be handed to the relay before the message is sent, if anything.

    Raises:
        InvalidInputError: more than a blob holds.
    """
    view = flat_view(content)
    if len(view) <= MAXIMUM_LETTER_CONTENT_BYTES:
        return in_letter((view,), len(view)), None
    sealed = SealedMemory(view)
    return sealed.reference, sealed


def unwrap(
    content: LetterContent | BlobReference, maximum_bytes: int, fetch: Callable[[BlobReference], Iterable[bytes]]
) -> Iterator[bytes]:
    """The plain content in authenticated pieces; `fetch` gives a blob's ciphertext, and is called for a blob only.

    Raises:
        InvalidInputError: more than `maximum_bytes`; nothing was fetched.
        NotAuthenticError: the relay gave something else; nothing given so far may be used.
    """
    if isinstance(content, LetterContent):
        plain = content.plain()
        require_size(len(plain), maximum_bytes)
        yield plain
    else:
        require_size(content.size, maximum_bytes)
        yield from open_stream(content, fetch(content))
