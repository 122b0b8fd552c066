"""An owner's PySyft session over one real datasite, whose service is stood in for by its own worker in a thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from datasites.protocol.job_messages import PeerRequest
from datasites.requests.contacts import ask_for_contact
from datasites.store.engine import reading
from datasites.store.file_sets import FileSet, find_file_set
from tests.one_job import PACKAGES, JobScene

ADA = "ada@lab.example"


@contextmanager
def serving(scene: JobScene) -> Iterator[None]:
    """What the service's own thread does beside a session."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            scene.worker.run_next()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def file_set(scene: JobScene, name: str) -> FileSet:
    with reading(scene.scene.site.engine) as connection:
        found = find_file_set(connection, name)
    assert found is not None
    return found


def box(scene: JobScene) -> bytes:
    """Every byte in the SyftBox, with the names and link targets; nothing private may be among them."""
    paths = sorted(scene.scene.site.home.syft_box.rglob("*"))
    return b"\n".join(str(it).encode() + (it.read_bytes() if it.is_file() else b"") for it in paths)


def asks(scene: JobScene, contact: str = ADA) -> None:
    site = scene.scene.site
    with site.engine.begin() as connection:
        message = PeerRequest(contact=contact)
        ask_for_contact(connection, site, scene.scene.researcher.card, message, PACKAGES, site.now)
