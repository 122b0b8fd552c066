"""Keeps PySyft's picture in step with the database: data sets, files, studies and jobs, written where they differ."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from datasites.catalog.file_sets import mock_contents
from datasites.requests.contacts import accepted_contact, all_contacts
from datasites.requests.jobs.code import code_of
from datasites.requests.jobs.grounds import released_outputs
from datasites.requests.jobs.outputs import output_pieces
from datasites.requests.jobs.records import Job, all_jobs, job_states
from datasites.requests.records import Request, all_requests, statuses
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.data_sets import DataSet, all_data_sets, data_set_names
from datasites.store.engine import reading
from datasites.store.file_sets import FileSet, all_file_sets, file_set_states
from datasites.store.peers import require_card
from datasites.syft_bridge.analysis_jobs import ShownJob, show_job, show_outputs, unaccepted_address
from datasites.syft_bridge.data_sets import publish_data_set, publish_files
from datasites.syft_bridge.description import DataSetCard
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
        self._shown: dict[str, object] = {}
        self._picture: object = None

    def refresh(self) -> None:
        """Write what changed since the last call; after a start, everything."""
        with reading(self._site.engine) as connection:
            picture = (
                statuses(connection),
                data_set_names(connection),
                file_set_states(connection),
                job_states(connection),
                all_contacts(connection),
            )
            if picture == self._picture:
                return
            data_sets, file_sets = all_data_sets(connection), all_file_sets(connection)
            requests = [(it, require_card(connection, it.sender).name) for it in all_requests(connection)]
            jobs = [
                (it, accepted_contact(connection, it.sender) or unaccepted_address(it.sender))
                for it in all_jobs(connection)
            ]
        shown = [
            *(self._once(f"data set {it.name}", "registered", partial(self._publish, it)) for it in data_sets),
            *(self._once(f"request {it.digest}", it.status, partial(self._record, it, name)) for it, name in requests),
            *(
                self._once(
                    f"files {it.name}",
                    (it.registered_at, it.commitment, it.mock_file),
                    partial(self._publish_files, it),
                )
                for it in file_sets
            ),
            *(
                self._once(f"job {it.digest}", (it.status, it.detail, who), partial(self._show_job, it, who))
                for it, who in jobs
            ),
            *(
                self._once(f"outputs {it.digest}", (it.status, it.attempt, who), partial(self._show_outputs, it, who))
                for it, who in jobs
                if it.outputs_file is not None and (it.release is not None or it.status == "released")
            ),
        ]
        self._picture = picture if all(shown) else None

    def _once(self, what: str, state: object, show: Callable[[], None]) -> bool:
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

    def _publish_files(self, file_set: FileSet) -> None:
        card = file_set.card
        mock = mock_contents(self._site, file_set)
        shown = DataSetCard(
            name=file_set.name,
            summary=card.summary,
            readme=card.readme,
            tags=card.tags,
            registered_at=file_set.registered_at,
            mock_files=tuple(mock),
        )
        publish_files(self._folder, shown, mock=mock, private={it.name: Path(it.path) for it in card.private})

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

    def _show_job(self, job: Job, researcher: str) -> None:
        code: Mapping[str, bytes] | None = None if job.code_file is None else code_of(self._site, job)
        show_job(self._folder, ShownJob(job.terms, researcher, job.status.value, job.detail, code, job.received_at))

    def _show_outputs(self, job: Job, researcher: str) -> None:
        release = released_outputs(self._site, job)
        if release is not None:
            pieces = output_pieces(self._site, job, release.files)
            show_outputs(self._folder, researcher, job.terms, release.files, pieces)
