"""On what ground outputs leave: people's signed word on them, or an approval that lets clean ones go."""

from dataclasses import dataclass

from datasites.people.taken import require_taken
from datasites.requests.jobs.outputs import findings_seal
from datasites.requests.jobs.records import Job, Status
from datasites.site import Site
from datasites.store.engine import reading
from policies.disclosure.findings import parse_findings
from policies.errors import NotAuthenticError
from policies.jobs.decision import Release, verify_job_decisions
from policies.jobs.release import OutputFact, verify_releases
from policies.log.job_entries import JobDecided, ReleaseDecided


@dataclass(frozen=True)
class ReleasedOutputs:
    """Which outputs of a job's newest execution leave, and why they may."""

    ground: Release
    commitment: str
    files: tuple[OutputFact, ...]


def released_outputs(site: Site, job: Job) -> ReleasedOutputs | None:
    """What leaves of the newest execution, by what was signed and found; None if nothing does.

    Raises:
        NotAuthenticError: what is stored says that something leaves, and no signed word covers it.
    """
    run = job.run
    if run is None or run.attempt != job.attempt or run.commitment is None:
        return None
    if job.release is not None:
        release = verify_releases(job.release, site.owner_key)
        said = [(it, ReleaseDecided(at=it.release.decided_at, signed=it)) for it in job.release.signed]
        with reading(site.engine) as connection:
            require_taken(connection, site, said, release.approvals, lambda rules: rules.releases)
        expected = (site.identity.party, job.digest, job.attempt, run.commitment, job.sender)
        told = (release.site, release.request, release.attempt, release.commitment, release.recipient)
        if told != expected or not set(release.files) <= set(run.files):
            raise NotAuthenticError("The stored release is on other outputs than these.")
        return ReleasedOutputs("by-hand", run.commitment, release.files) if release.verdict == "release" else None
    if job.status is not Status.RELEASED:
        return None
    if job.decision is None or job.findings is None:
        raise NotAuthenticError("The outputs stand as released without an approval and an inspection.")
    decision = verify_job_decisions(job.decision, site.owner_key, job.terms.researcher)
    stated = [(it, JobDecided(at=it.decision.decided_at, signed=it)) for it in job.decision.signed]
    with reading(site.engine) as connection:
        require_taken(connection, site, stated, decision.approvals, lambda rules: rules.jobs, decision.house_rules)
    covered = (decision.site, decision.request, decision.attempt, decision.verdict, decision.release)
    if covered != (site.identity.party, job.digest, job.attempt, "approve", "clean"):
        raise NotAuthenticError("The stored approval lets no outputs go by themselves.")
    if findings_seal(site, run.commitment, job.findings.encode()) != job.findings_seal:
        raise NotAuthenticError("The stored findings are not those of the inspection of these outputs.")
    if not parse_findings(job.findings.encode()).clean:
        raise NotAuthenticError("The inspection found something to hold.")
    return ReleasedOutputs("clean", run.commitment, tuple(file for file in run.files if file.kind == "output"))
