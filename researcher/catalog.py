"""What a researcher sees of a data set: its manifest, rows of mock data, and an allowance; never a private value."""

import io
from base64 import b64decode
from dataclasses import dataclass, field
from math import prod

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasites.protocol.identity import IdentityCard
from datasites.protocol.messages import Allowance, CatalogReply, CatalogRequest, DataSetOffer
from policies.columns import ImageColumn
from policies.errors import InvalidInputError, UnavailableError
from policies.manifest import Manifest, parse_published_manifest
from researcher.correspondence import Correspondence, Received

_MAXIMUM_MOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class DataSet:
    """A site's data set as its owner describes it; `mock` is drawn from the manifest alone.

    There is no allowance, and no row of mock data, where the owner does not show them.
    """

    site: IdentityCard
    name: str
    manifest: Manifest
    allowance: Allowance | None
    mock: pd.DataFrame = field(repr=False)

    def __str__(self) -> str:
        """One line: where it is, what it is, and how much of its budget this researcher may still ask for."""
        budget = "" if self.allowance is None else f", {_budget(self.allowance)}"
        return (
            f"{self.site.name} / {self.name}: {self.manifest.title}, {_features(self.manifest)}, about "
            f"{self.manifest.privacy_unit.nominal_units} units{budget}"
        )


def look_round(correspondence: Correspondence, seconds: float) -> list[DataSet]:
    """Ask every pinned site for its catalog.

    Raises:
        UnavailableError: a site did not answer within `seconds`; it is named.
    """
    sites = correspondence.state.sites()
    correspondence.discard(lambda _card, message: isinstance(message, CatalogReply), seconds)
    correspondence.send(list(sites), CatalogRequest(), seconds)
    replies = correspondence.collect(
        lambda _card, message: isinstance(message, CatalogReply),
        lambda taken: all(_is_complete(party, taken) for party in sites),
        seconds,
    )
    missing = [card.name for party, card in sites.items() if not _is_complete(party, replies)]
    if missing:
        raise UnavailableError(f"No catalog came from {', '.join(missing)} within {seconds:g} s; try again later.")
    found = {}
    for card, message in replies:
        if isinstance(message, CatalogReply):
            for offer in message.data_sets:
                found[card.party, offer.name] = _data_set(correspondence, card, offer, seconds)
    return [found[key] for key in sorted(found, key=lambda key: (found[key].site.name, found[key].name))]


def require_same_columns(data_sets: list[DataSet]) -> Manifest:
    """The shape that all data sets share, so that one model means the same at each site.

    Raises:
        InvalidInputError: there are none, or two differ in columns, bounds, categories or target.
    """
    if not data_sets:
        raise InvalidInputError("A study needs at least one data set; choose from `federation.data_sets`.")
    first = data_sets[0].manifest
    for other in data_sets[1:]:
        shape = (other.manifest.target, other.manifest.columns)
        if shape != (first.target, first.columns):
            raise InvalidInputError(
                f"«{other.name}» at {other.site.name} differs from «{first.name}» at {data_sets[0].site.name} in its "
                "columns, bounds or target; a study needs data sets of one shape."
            )
    return first


def _features(manifest: Manifest) -> str:
    whole = manifest.whole_column
    if isinstance(whole, ImageColumn):
        return f"images of {whole.channels} × {whole.height} × {whole.width}"
    if whole is not None:
        return f"texts of at most {whole.maximum_bytes} bytes"
    return f"{manifest.feature_shape[0]} features"


def _budget(allowance: Allowance) -> str:
    return (
        f"budget ε={allowance.epsilon:g} at δ={allowance.delta:g}, {1 - allowance.remaining_training_share:.0%} of it "
        "spent by you"
    )


def _is_complete(party: str, taken: list[Received]) -> bool:
    replies = [message for card, message in taken if card.party == party and isinstance(message, CatalogReply)]
    return bool(replies) and sum(len(reply.data_sets) for reply in replies) >= replies[-1].total


def _data_set(correspondence: Correspondence, card: IdentityCard, offer: DataSetOffer, seconds: float) -> DataSet:
    content = b"".join(correspondence.open(offer.mock, _MAXIMUM_MOCK_BYTES, seconds))
    manifest = parse_published_manifest(offer.manifest.encode())
    if manifest.name != offer.name:
        raise InvalidInputError(f"{card.name} offers «{offer.name}» with the manifest of another data set.")
    return DataSet(card, offer.name, manifest, offer.allowance, read_mock(content, manifest))


def read_mock(content: bytes, manifest: Manifest) -> pd.DataFrame:
    """The rows of mock data that a site sent: CSV with exactly the manifest's columns. An image is an array of uint8.

    Raises:
        InvalidInputError: it is something else.
    """
    expected = [manifest.privacy_unit.column, *(column.name for column in manifest.columns)]
    try:
        rows = pd.read_csv(io.BytesIO(content))
    except (ValueError, OverflowError, RecursionError) as error:  # pandas' own errors are ValueErrors
        raise InvalidInputError(f"The mock data of «{manifest.name}» is not CSV in UTF-8.") from error
    if list(rows.columns) != expected:
        raise InvalidInputError(f"The mock data of «{manifest.name}» has other columns than its manifest.")
    whole = manifest.whole_column
    if isinstance(whole, ImageColumn):
        rows[whole.name] = pd.Series([_image(cell, whole) for cell in rows[whole.name]], dtype=object)
    return rows


def _image(cell: object, column: ImageColumn) -> NDArray[np.uint8]:
    """uint8 [channels, height, width] of its bytes in base64."""
    try:
        pixels = b64decode(str(cell), validate=True)
    except ValueError:
        pixels = b""
    if len(pixels) != prod(column.shape):
        raise InvalidInputError(f"The mock data's {column.name!r} holds something else than images of {column.shape}.")
    return np.frombuffer(pixels, np.uint8).reshape(column.shape)
