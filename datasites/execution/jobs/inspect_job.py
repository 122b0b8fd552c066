"""Inspect what a run wrote, in the sandbox beside the private files, and let it go, or hold it for the owner."""

from collections.abc import Collection
from itertools import count

from sqlalchemy import Connection, update

from datasites.execution.jobs.errands import inspection_errand, opened_files
from datasites.execution.jobs.zygotes import Zygotes
from datasites.halts.stopped import is_stopped
from datasites.inspection.question import BoundedColumn, PrivateData, Question
from datasites.requests.jobs.outputs import findings_seal, output_contents
from datasites.requests.jobs.records import Job, Status, find_job, set_job_status
from datasites.requests.jobs.runs import Run
from datasites.requests.jobs.tell import tell_time
from datasites.sandbox.errand import Cancel
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.data_sets import all_data_sets
from datasites.store.engine import reading
from datasites.store.file_sets import FileSet, require_file_set
from datasites.store.tables import jobs
from policies.columns import MeasuredColumn
from policies.disclosure.file_findings import TooLarge
from policies.disclosure.findings import MAXIMUM_FINDINGS_BYTES, Findings, believed, collect
from policies.disclosure.rules import DisclosureRules
from policies.errors import CloisterError, NotAuthenticError
from policies.log.entries import LogEntry
from policies.log.job_entries import OutputsInspected
from policies.log.journal import append
from policies.statements.schema import as_text

_HELD = "It ended; its outputs wait for the owner."
_RELEASED = "It ended; the inspection found nothing to hold, and its outputs were released."
_FAILED = {
    "timed-out": "It was stopped: it took longer than its terms allow.",
    "out-of-memory": "It was stopped: it needed more memory than its terms allow.",
    "too-much-output": "It was stopped: it printed or wrote more than is accepted.",
    "killed": "It was stopped from outside.",
}


def inspect_job(site: Site, job: Job, run: Run, zygotes: Zygotes, cancel: Cancel) -> None:
    """Inspect the outputs of a run that ended, and settle where the job stands, unless it was closed meanwhile."""
    findings: Findings | None
    try:
        findings = _inspected(site, job, run, zygotes, cancel)
    except CloisterError as error:
        report(f"The outputs of job {job.number} could not be inspected: {error}")
        findings = believed(None, ())
    if findings is not None:
        _settle(site, job, run, findings)


def _inspected(
    site: Site,
    job: Job,
    run: Run,
    zygotes: Zygotes,
    cancel: Cancel,
) -> Findings | None:
    """What the inspection found; None if it was stopped, because the job was closed or the datasite stops.

    Raises:
        CloisterError: it could not be done: by the rules, or the files that the run saw, as they stand now.
    """
    with reading(site.engine) as connection:
        rules = site.house_rules(connection).rules.jobs.outputs
        file_sets = [_as_approved(job, require_file_set(connection, name)) for name in job.terms.data_sets]
        data = [_private_data(connection, it) for it in file_sets]
    outputs = _outputs(site, job, run, rules)
    if outputs is None:
        return collect((), (TooLarge(size=run.size, most=rules.maximum_output_bytes),))
    question = Question(
        outputs=tuple(outputs),
        declared=() if job.dry_run is None else job.dry_run.outputs,
        left_out=run.left_out,
        rules=rules,
        data_sets=tuple(data),
    )
    written = bytearray()
    with opened_files(site, file_sets) as opened, zygotes.of(job.sender) as zygote:
        errand = inspection_errand(site, question.canonical(), outputs, file_sets, opened)
        outcome = zygote.run(errand, written.extend, cancel)
    if outcome.ending == "cancelled":
        return None
    said = bytes(written) if outcome.ending == "finished" and len(written) <= MAXIMUM_FINDINGS_BYTES else None
    return believed(said, outputs)


def _as_approved(job: Job, file_set: FileSet) -> FileSet:
    approved = () if job.decision is None else job.decision.decision.data_sets
    if file_set.commitment not in [it.commitment for it in approved if it.name == file_set.name]:
        raise NotAuthenticError(f"«{file_set.name}» was registered again after the job ran.")
    return file_set


def _outputs(site: Site, job: Job, run: Run, rules: DisclosureRules) -> dict[str, bytes] | None:
    """The outputs and logs by the names under which the inspection sees them; None if they are too large to be read."""
    if run.size > rules.maximum_output_bytes:
        return None
    found: dict[str, bytes] = {}
    for file, content in output_contents(site, job):
        found[file.path if file.kind == "output" else _apart(file.path, found)] = content
    return found


def _apart(log: str, outputs: Collection[str]) -> str:
    """A name for a log that no output has, nor a folder of outputs: their names are the code's own choice."""
    names = (log if tried == 0 else f"printed-{tried}-{log}" for tried in count())
    return next(name for name in names if not any(f"{it}/".startswith(f"{name}/") for it in outputs))


def _private_data(connection: Connection, file_set: FileSet) -> PrivateData:
    """What is known of a set's files: by the manifest of the data set whose people they are about, if there is one."""
    files = tuple(file.name for file in file_set.card.private)
    manifests = (it.manifest for it in all_data_sets(connection) if it.population == file_set.population)
    manifest = next(manifests, None)
    if manifest is None:
        return PrivateData(data_set=file_set.name, files=files)
    columns = tuple(
        BoundedColumn(name=it.name, minimum=float(it.minimum), maximum=float(it.maximum))
        for it in manifest.columns
        if isinstance(it, MeasuredColumn)
    )
    return PrivateData(data_set=file_set.name, files=files, unit_column=manifest.privacy_unit.column, columns=columns)


def _settle(site: Site, job: Job, run: Run, findings: Findings) -> None:
    with site.engine.begin() as connection:
        stored = find_job(connection, job.digest)
        if stored is None or stored.status is not Status.RUNNING or stored.attempt != run.attempt:
            return
        if is_stopped(connection, site):
            return  # they are inspected anew when the site goes on
        text = findings.canonical()
        seal = findings_seal(site, run.commitment or "", text)
        entry: LogEntry = OutputsInspected(
            at=site.now,
            request=job.digest,
            attempt=run.attempt,
            findings=seal,
            clean=findings.clean,
        )
        append(connection, entry)
        values = {"findings": text.decode(), "findings_seal": seal, "tell_at": tell_time(site, job)}
        connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(values))
        goes = findings.clean and job.decision is not None and job.decision.decision.release == "clean"
        if run.ending != "finished":
            detail = _FAILED.get(run.ending) or as_text(f"Its code failed with an error of kind {run.error}.")
            set_job_status(connection, job.digest, Status.FAILED, detail)
        elif goes:
            set_job_status(connection, job.digest, Status.RELEASED, _RELEASED)
        else:
            set_job_status(connection, job.digest, Status.HELD, _HELD)
