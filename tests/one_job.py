"""A datasite with one table offered to jobs, and jobs on it driven through their use cases by a real worker."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasites.catalog.file_sets import register_file_set
from datasites.execution.jobs.job_worker import JobWorker
from datasites.protocol.content import wrap
from datasites.protocol.identity import IdentityCard
from datasites.protocol.job_messages import JobCancel, JobOutputs, JobStatus, JobSubmission
from datasites.requests.jobs.close import cancel_own_job
from datasites.requests.jobs.decide import approve_job, deny_job
from datasites.requests.jobs.receive import receive_job
from datasites.requests.jobs.records import Job, find_job
from datasites.requests.jobs.release import outputs_of, release_digest, release_outputs, withhold_outputs
from datasites.requests.jobs.review import JobReview, review_job
from datasites.store.file_sets import FileSet
from policies.jobs.terms import CODE_DOMAIN, CODE_FILE_DOMAIN, CodeFile, JobLimits, JobTerms
from policies.log.job_entries import JobEntry
from policies.log.journal import entries
from policies.statements.digests import digest
from tests.databases import SQLITE
from tests.one_site import Scene, new_scene
from tests.site_folder import NOW

PACKAGES = ("numpy==2.4.6", "pandas==3.1.1", "syft==0.10.0")
PRIVATE = "patient,age,ill\n" + "".join(f"p{n:03},{20 + n % 60},{n % 2}\n" for n in range(200))
MOCK = "patient,age,ill\n" + "".join(f"m{n:03},{30 + n % 40},{n % 2}\n" for n in range(50))
COUNT = """
import json
import syft as sy
rows = open(sy.resolve_dataset_file_path("visits")).read().splitlines()[1:]
json.dump({"rows": len(rows)}, open("outputs/result.json", "w"))
print("counted")
"""


@dataclass
class JobScene:
    """One datasite as in `tests.one_site`, and what is needed for jobs."""

    scene: Scene
    worker: JobWorker
    private: Path

    def terms(self, code: Mapping[str, bytes], name: str = "count visits", **changes: Any) -> JobTerms:
        """Terms of a job of Ada's with this code."""
        fields: dict[str, Any] = {
            "version": "cloister-job/1",
            "job": secrets.token_hex(16),
            "name": name,
            "researcher": self.scene.researcher.party,
            "site": self.scene.site.identity.party,
            "data_sets": ("visits",),
            "entrypoint": "main.py",
            "code": tuple(
                CodeFile(path=path, size=len(code[path]), digest=digest(CODE_FILE_DOMAIN, code[path]))
                for path in sorted(code)
            ),
            "requirements": (),
            "limits": JobLimits(wall_seconds=60, memory_mib=2048, disk_mib=64),
            "purpose": "To know how many came.",
            "legal_basis": "Consent.",
            "recipients": "The ward.",
            "onward_use": "None.",
            "supersedes": None,
            "expires_at": NOW + 86_400,
        }
        return JobTerms(**{**fields, **changes})

    def receive(
        self,
        code: str | Mapping[str, bytes] = COUNT,
        sender: IdentityCard | None = None,
        terms: JobTerms | None = None,
        **changes: Any,
    ) -> Job:
        files = {"main.py": code.encode()} if isinstance(code, str) else code
        terms = terms or self.terms(files, **changes)
        content = b"".join(files[path] for path in sorted(files))
        message = JobSubmission(job=terms.job, terms=terms.canonical().decode(), code=wrap(content)[0])
        site = self.scene.site
        with (
            site.contents.saved((content,), CODE_DOMAIN, len(content)) as file,
            site.engine.begin() as connection,
        ):
            card = sender or self.scene.researcher.card
            receive_job(connection, site, card, message, file, PACKAGES, site.now)
        return self.job(terms.digest())

    def job(self, request: str) -> Job:
        with self.scene.site.engine.begin() as connection:
            found = find_job(connection, request)
        assert found is not None
        return found

    def tried(self, code: str | Mapping[str, bytes] = COUNT, **changes: Any) -> Job:
        """A job that waits for its owner."""
        job = self.receive(code, **changes)
        assert self.worker.try_next()
        return self.job(job.digest)

    def shown(self, job: Job) -> JobReview:
        """What the owner is shown of a job as things stand now."""
        stored = self.job(job.digest)
        with self.scene.site.engine.begin() as connection:
            return review_job(connection, self.scene.site, stored)

    def approve(self, job: Job, digest: str | None = None) -> Job:
        digest = digest or self.shown(job).approval_digest
        with self.scene.site.engine.begin() as connection:
            return approve_job(connection, self.scene.site, digest, self.scene.owner_key)

    def deny(self, job: Job, reason: str = "Not now.") -> Job:
        with self.scene.site.engine.begin() as connection:
            return deny_job(connection, self.scene.site, job.number, reason, self.scene.owner_key)

    def ran(self, code: str | Mapping[str, bytes] = COUNT, **changes: Any) -> Job:
        """A job that was approved, has run and was inspected."""
        return self.run(self.approve(self.tried(code, **changes)))

    def run(self, job: Job) -> Job:
        """Let everything run and be inspected that waits for it."""
        while self.worker.run_next():
            pass
        return self.job(job.digest)

    def release(self, job: Job, *, logs: bool = False) -> Job:
        with self.scene.site.engine.begin() as connection:
            shown = release_digest(connection, self.scene.site, job, outputs_of(job, logs=logs))
            return release_outputs(connection, self.scene.site, shown, self.scene.owner_key)

    def withhold(self, job: Job, reason: str = "Too fine.") -> Job:
        with self.scene.site.engine.begin() as connection:
            return withhold_outputs(connection, self.scene.site, job.number, reason, self.scene.owner_key)

    def cancel(self, job: Job, sender: str | None = None) -> None:
        """Its researcher, or somebody else, cancels."""
        message = JobCancel(job=job.terms.job, reason="Not needed any more.")
        with self.scene.site.engine.begin() as connection:
            cancel_own_job(connection, sender or self.scene.researcher.party, message, self.scene.now)

    def register(self, name: str = "visits", content: str | None = None, **changes: Any) -> FileSet:
        """Register a set of one file, with other private content if it is given."""
        if content is not None:
            self.private.write_text(content)
        usual: dict[str, Any] = {
            "summary": "One row a visit.",
            "readme": "",
            "tags": (),
            "mock": self.private.parent / "mock" / "visits.csv",
            "private": self.private,
            "everybody": True,
            "contacts": (),
        }
        return register_file_set(self.scene.site, name=name, **(usual | changes))

    def rule(self, line: str) -> None:
        """Let the owner set one of the house rules on jobs, and adopt them."""
        rules = self.scene.site.home.house_rules_file
        name = line.split("=")[0].strip()
        lines = rules.read_text().split("[jobs]")
        kept = [it for it in lines[1].splitlines() if not it.startswith(f"{name} ")]
        self.scene.adopt(lines[0] + "[jobs]\n" + line + "\n".join(kept) + "\n")

    def logged(self, *kinds: type[JobEntry]) -> list[Any]:
        """What the log says of jobs, oldest first."""
        with self.scene.site.engine.begin() as connection:
            return [entry for _, entry in entries(connection) if isinstance(entry, kinds)]

    def tell(self) -> None:
        """Let time pass until everything may be told, and tell it."""
        self.scene.clock.seconds += 3600
        self.worker.tell_next()

    def statuses(self) -> list[JobStatus]:
        return [it for it in self.scene.letters() if isinstance(it, JobStatus)]

    def outputs(self) -> list[JobOutputs]:
        return [it for it in self.scene.letters() if isinstance(it, JobOutputs)]


def new_job_scene(folder: Path, database: str = SQLITE) -> JobScene:
    """A fresh site with the table «visits», shown to everybody who is pinned."""
    scene = new_scene(folder, database)
    private, mock = folder / "visits.csv", folder / "mock" / "visits.csv"
    mock.parent.mkdir()
    private.write_text(PRIVATE)
    mock.write_text(MOCK)
    made = JobScene(scene, JobWorker(scene.site), private)
    made.register()
    return made
