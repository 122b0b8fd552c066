"""One federation for all system tests of a test process: starting it costs more than any test; it ends after them."""

from collections.abc import Iterator

import pytest

from researcher.export import ExportedPlan, export
from tests.demo import commands
from tests.record_forms import columns
from tests.system import forked_commands
from tests.system.federation import LiveFederation, open_federation
from tests.system.live_jobs import LiveJobs, open_live_jobs
from tests.system.plans import SmallPlan
from tests.system.pysyft_scene import PySyftScene, open_pysyft_scene

commands.run = forked_commands.run  # hundreds of commands, each of which else imports for a second and more


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveFederation]:
    """The federation. A test leaves it as it found it: everybody serving, no study open."""
    federation = open_federation(tmp_path_factory.mktemp("live"))
    yield federation
    federation.close()


@pytest.fixture(scope="package")
def pysyft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PySyftScene]:
    """A data owner's and a researcher's PySyft sessions, acquainted."""
    with open_pysyft_scene(tmp_path_factory.mktemp("pysyft")) as scene:
        scene.make_acquaintance()
        yield scene


@pytest.fixture(scope="session")
def exported() -> ExportedPlan:
    """The small plan's programs, for tests that craft their own submissions."""
    return export(SmallPlan(), columns(30, "int64", 2))


@pytest.fixture(scope="package")
def live_jobs() -> Iterator[LiveJobs]:
    """One site that offers files to jobs. A test leaves it serving, and nothing running."""
    with open_live_jobs() as made:
        yield made
