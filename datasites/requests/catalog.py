"""Answer a researcher who looks round: manifests, and by the rules mock data and what is left of the budget."""

from contextlib import ExitStack

from sqlalchemy import Connection, select

from datasites.protocol.blobs import BlobReference
from datasites.protocol.identity import IdentityCard
from datasites.protocol.messages import Allowance, CatalogReply, DataSetOffer
from datasites.site import Site
from datasites.store.data_sets import DataSet, all_data_sets
from datasites.store.outbox import enqueue
from datasites.store.tables import requests
from policies.budget.balance import balance, charged
from policies.budget.tables import reservations
from policies.errors import RefusedError


def answer_catalog(connection: Connection, site: Site, sender: IdentityCard, files: ExitStack, now: int) -> None:
    """Send one message a data set, each with its own mock rows; `files` ends when this is committed.

    Raises:
        RefusedError: the sender is not a researcher, or the owner has adopted no house rules.
        NotAuthenticError: the house rules that are stored are not what the owner adopted.
    """
    if sender.role != "researcher":
        raise RefusedError("Only researchers are shown the catalog.")
    data_sets, shown = all_data_sets(connection), site.house_rules(connection).rules.shown
    for data_set in data_sets:
        header, _, _ = data_set.mock.partition("\n")
        mock = data_set.mock.encode() if shown.mock else f"{header}\n".encode()
        content = files.enter_context(site.contents.enclosed((mock,), len(mock)))
        offer = DataSetOffer(
            name=data_set.name,
            manifest=data_set.manifest.canonical().decode(),
            mock=content,
            allowance=_allowance(connection, sender.party, data_set) if shown.allowance else None,
        )
        reply = CatalogReply(data_sets=(offer,), total=len(data_sets))
        file = content.digest if isinstance(content, BlobReference) else None
        enqueue(connection, sender.party, reply, now, file)
    if not data_sets:
        enqueue(connection, sender.party, CatalogReply(data_sets=(), total=0), now)


def _allowance(connection: Connection, researcher: str, data_set: DataSet) -> Allowance:
    """What is left of the lifetime budget if nobody but this researcher had spent any: others stay invisible."""
    own_requests = select(requests.c.digest).where(requests.c.sender == researcher)
    used = charged(
        connection, reservations.c.population == data_set.population, reservations.c.request.in_(own_requests)
    )
    whole = balance(connection, data_set.population).training.allowance_units
    return Allowance(
        epsilon=data_set.epsilon,
        delta=data_set.delta,
        remaining_training_share=1 - used.training_units / whole,
        remaining_evaluation_share=1 - used.evaluation_units / whole,
    )
