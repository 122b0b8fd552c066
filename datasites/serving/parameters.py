"""A study's parameter file, put together from parts that its letter sends and parts that are kept for its sender."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from datasites.protocol.messages import StudySubmission
from datasites.protocol.unpacking import Pieces
from datasites.protocol.weight_messages import PART_DOMAIN, ParameterPart, check_sizes
from datasites.requests.receive import LackingWeights
from datasites.site import Site
from datasites.store.contents import ContentFolder, SavedFile
from datasites.store.engine import reading
from datasites.store.weights import KeptPart, kept_parts
from policies.errors import InvalidInputError, NotAuthenticError
from policies.programs.digests import PARAMETERS_DOMAIN
from policies.statements.digests import RunningDigest


@contextmanager
def parameter_file(
    site: Site, sender: str, message: StudySubmission, sent: Iterable[bytes]
) -> Iterator[SavedFile | LackingWeights]:
    """The whole file in a new content file, each part of it checked; or which parts are kept of it, if not enough.

    `sent` is the content with the sent parts; nothing of it is taken if another part is lacking.

    Raises:
        InvalidInputError: the parts do not add up.
        NotAuthenticError: a part is not the one that its digest names.
    """
    parts = message.parameter_parts
    size = check_sizes(parts, message.initial_parameters.plain_size)
    with reading(site.engine) as connection:
        kept = kept_parts(connection, sender, parts)
    unsent = {part.digest for part in parts if not part.sent}
    if unsent <= kept.keys():  # a small letter that lacks something has nothing read
        kept = {name: it for name, it in kept.items() if name not in unsent or _holds(site.contents, it)}
    if not unsent <= kept.keys():
        yield LackingWeights(tuple(dict.fromkeys(part.digest for part in parts if part.digest not in kept)))
        return
    with site.contents.saved(_assembled(site.contents, parts, kept, sent), PARAMETERS_DOMAIN, size) as file:
        yield file


def _assembled(
    contents: ContentFolder, parts: Sequence[ParameterPart], kept: dict[str, KeptPart], sent: Iterable[bytes]
) -> Iterator[bytes | memoryview]:
    coming = Pieces(sent)
    for part in parts:
        digest = RunningDigest(PART_DOMAIN, part.size)
        pieces = coming.take(part.size) if part.sent else _read(contents, kept[part.digest])
        for piece in pieces:
            digest.update(piece)
            yield piece
        if digest.hexdigest() != part.digest:
            raise NotAuthenticError("A part of the parameter file is not the one that its digest names; send it again.")


def _read(contents: ContentFolder, part: KeptPart) -> Iterator[bytes]:
    try:
        yield from contents.read(part.file, part.start, part.size)
    except FileNotFoundError as error:  # it was dropped since it was looked up
        raise NotAuthenticError("A part of the parameter file is not kept here any more; send it again.") from error


def _holds(contents: ContentFolder, part: KeptPart) -> bool:
    try:
        digest = RunningDigest(PART_DOMAIN, part.size)
        for piece in contents.read(part.file, part.start, part.size):
            digest.update(piece)
        return digest.hexdigest() == part.digest
    except (FileNotFoundError, InvalidInputError):
        return False
