"""Answer a researcher who asks which sets of files there are: their descriptions and mock files, nothing private."""

from contextlib import ExitStack

from sqlalchemy import Connection

from datasites.protocol.blobs import BlobReference
from datasites.protocol.identity import IdentityCard
from datasites.protocol.job_messages import FileSetOffer, FileSetReply
from datasites.requests.contacts import accepted_contact
from datasites.site import Site
from datasites.store.file_sets import all_file_sets
from datasites.store.outbox import content_waits, enqueue
from policies.errors import RefusedError


def answer_file_sets(connection: Connection, site: Site, sender: IdentityCard, files: ExitStack, now: int) -> None:
    """Send one message for each set that the sender may see; `files` ends when this is committed.

    While large content is on its way to the sender nothing more is written: whoever asks often must not fill the disk.

    Raises:
        RefusedError: the sender is not a researcher.
    """
    if sender.role != "researcher":
        raise RefusedError("Only researchers are shown sets of files.")
    if content_waits(connection, sender.party):
        return
    contact = accepted_contact(connection, sender.party)
    visible = [it for it in all_file_sets(connection) if it.visible_to(contact)]
    for file_set in visible:
        card = file_set.card
        size = sum(file.size for file in card.mock)
        content = files.enter_context(site.contents.enclosed(site.contents.read(file_set.mock_file), size))
        offer = FileSetOffer(
            name=file_set.name,
            summary=card.summary,
            readme=card.readme,
            tags=card.tags,
            registered_at=file_set.registered_at,
            files=card.mock,
            mock=content,
        )
        file = content.digest if isinstance(content, BlobReference) else None
        enqueue(connection, sender.party, FileSetReply(total=len(visible), offer=offer), now, file)
    if not visible:
        enqueue(connection, sender.party, FileSetReply(total=0, offer=None), now)
