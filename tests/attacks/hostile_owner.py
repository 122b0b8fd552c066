"""What attacks on a researcher's desk share: jobs to lie about, content too large to fetch, and a box unchanged."""

from typing import Any

import pytest
from syft_rds import SyftRDSClient

from datasites.protocol.blobs import BlobReference
from datasites.protocol.job_messages import PeerReply
from policies.jobs.terms import JobTerms
from tests.researcher.syft_scene import ANNA, SyftScene


def unchanged(scene: SyftScene, client: SyftRDSClient, *messages: Any, warned: bool = True) -> None:
    """A site said it; the box holds what it held, and the post flows on."""
    before = scene.box()
    for site, message in messages:
        site.says(message)
    if warned:
        with pytest.warns(UserWarning, match="was left out"):
            client.sync()
    else:
        client.sync()
    assert scene.box() == before
    for accepted in (False, True):
        scene.anna.says(PeerReply(contact=ANNA, accepted=accepted, packages=()))
        client.sync()
        assert [it.is_approved for it in client.peer_manager.syncable_peers] == [accepted], "the post does not flow"


def submitted(scene: SyftScene, client: SyftRDSClient) -> JobTerms:
    """A new job at anna's."""
    return scene.submit(client, job_name=f"job {len(scene.anna.jobs)}")


def approved(scene: SyftScene, client: SyftRDSClient) -> JobTerms:
    """A new job, whose outputs may come."""
    terms = submitted(scene, client)
    scene.anna.says(scene.anna.status(terms, "held", decision=scene.anna.decide(terms)))
    client.sync()
    return terms


def huge(size: int) -> BlobReference:
    """A reference to content that the relay does not have."""
    return BlobReference(digest="0" * 64, key="0" * 64, size=size)
