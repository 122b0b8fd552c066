"""Keeps PySyft's picture in step with the database: every data set and request, written again wherever it differs."""

from collections.abc import Callable
from functools import partial

from datasites.requests.records import Request, all_requests, statuses
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.data_sets import DataSet, all_data_sets, data_set_names
from datasites.store.engine import reading
from datasites.store.peers import require_card
from datasites.syft_bridge.data_sets import publish_data_set
from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.jobs import record_request, set_status
from policies.errors import CloisterError


def syft_folder(site: Site) -> SyftFolder:
    """The folders of this datasite that Syft knows of."""
    return SyftFolder(site.home.syft_box, site.home.syft_private, site.settings.contact)


class Mirror:
    """Shows changes in Syft once each. Nothing depends on it: a folder that somebody broke is reported and left."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._folder = syft_folder(site)
        self._shown: dict[str, str] = {}
        self._picture: object = None

    def refresh(self) -> None:
        """Write what changed since the last call; after a start, everything."""
        with reading(self._site.engine) as connection:
            picture = (statuses(connection), data_set_names(connection))
            if picture == self._picture:
                return
            data_sets = all_data_sets(connection)
            requests = [(it, require_card(connection, it.sender).name) for it in all_requests(connection)]
        shown = [self._once(f"data set {it.name}", "registered", partial(self._publish, it)) for it in data_sets] + [
            self._once(f"request {it.digest}", it.status, partial(self._record, it, name)) for it, name in requests
        ]
        self._picture = picture if all(shown) else None

    def _once(self, what: str, state: str, show: Callable[[], None]) -> bool:
        if self._shown.get(what) == state:
            return True
        try:
            show()
            self._shown[what] = state
        except (CloisterError, OSError) as error:
            report(f"Syft does not show {what[:32]}…: {error}")
            return False
        return True

    def _publish(self, data_set: DataSet) -> None:
        mock = self._site.home.mocks / f"{data_set.name}.csv"
        mock.write_text(data_set.mock)
        manifest = data_set.manifest
        publish_data_set(
            self._folder,
            data_set.name,
            summary=manifest.title,
            readme=f"# {manifest.title}\n\n{manifest.description}\n",
            mock=mock,
            private=self._site.home.snapshots / data_set.snapshot_file,
            registered_at=data_set.registered_at,
        )

    def _record(self, request: Request, researcher: str) -> None:
        files = {
            "source.py": request.source.encode(),
            "terms.json": request.terms.canonical(),
            "loss_program.json": request.loss_program.encode(),
            "metrics_program.json": request.metrics_program.encode(),
        }
        record_request(
            self._folder,
            request.digest,
            title=request.terms.title,
            researcher_name=researcher,
            files=files,
            received_at=request.received_at,
        )
        set_status(self._folder, request.digest, request.status.value)
