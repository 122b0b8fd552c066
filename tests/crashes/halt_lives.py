"""Lives in which people halt something: a study revoked while it runs, a job revoked, a site stopped and resumed."""

from datasites.halts.stopped import is_stopped
from datasites.protocol.messages import RoundRefused
from datasites.requests.jobs.records import Status as JobStatus
from datasites.requests.records import Status
from policies.log.revocation_entries import ApprovalRevoked
from policies.log.stop_entries import SiteResumed, SiteStopped
from tests.crashes.job_lives import HELD, begin_with_jobs, only_job
from tests.crashes.lives import RUNNING, WORKED, Life, Step, ends_as, logged, request_of, unless
from tests.halting import resume, revoke, stop
from tests.one_site import Scene


def _stopped(scene: Scene) -> bool:
    with scene.site.engine.begin() as connection:
        return is_stopped(connection, scene.site)


REVOKED = Step(
    "revoke",
    unless(lambda scene: request_of(scene).status is Status.REVOKED, lambda scene: revoke(scene, request_of(scene))),
)
JOB_REVOKED = Step(
    "revoke",
    unless(lambda scene: only_job(scene).status is JobStatus.REVOKED, lambda scene: revoke(scene, only_job(scene))),
)
STOPPED = Step("stop", unless(_stopped, stop))
RESUMED = Step("resume", unless(lambda scene: not _stopped(scene), resume))


def _revoked(scene: Scene) -> None:
    ends_as(Status.REVOKED)(scene)
    assert len(logged(scene, ApprovalRevoked)) == 1


def _job_revoked(scene: Scene) -> None:
    assert (only_job(scene).status, len(logged(scene, ApprovalRevoked))) == (JobStatus.REVOKED, 1)
    assert only_job(scene).outputs_file is None


def _went_on(scene: Scene) -> None:
    ends_as(Status.DONE, 1)(scene)
    assert len(logged(scene, SiteStopped)) == len(logged(scene, SiteResumed)) == scene.count("stops") == 1
    assert len(scene.letters(RoundRefused)) == 1


HALT_LIVES = (
    Life("revoked", (*RUNNING, REVOKED), _revoked, 6),
    Life("job revoked", (*HELD, JOB_REVOKED), _job_revoked, 4, begin_with_jobs),
    Life("resumed", (*RUNNING, STOPPED, WORKED, RESUMED, WORKED), _went_on, 6, watched_until=9),
)
