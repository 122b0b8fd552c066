"""Replays what was halted: after a revocation nothing more of its request, during a stop nothing at all."""

from policies.errors import RefusedError
from policies.log import entries as log
from policies.log import job_entries as jobs
from policies.log.accounts import require
from policies.log.budget_entries import ChargeMade, ReservationOpened
from policies.log.revocation_entries import ApprovalRevoked
from policies.log.rules_entries import ApprovedByRules
from policies.log.stop_entries import SiteResumed, SiteStopped
from policies.people.register import Register
from policies.people.revocation import verify_revocation
from policies.people.stop import SignedStop, verify_resumption, verify_stop

HaltEntry = ApprovalRevoked | SiteStopped | SiteResumed


class HaltReplay:
    """Which requests were approved and revoked, and whether the site is stopped."""

    def __init__(self, site: str, owner_key: bytes, people: Register) -> None:
        """Nothing is halted; `people` is the log's own register, and grows with it."""
        self._site = site
        self._owner_key = owner_key
        self._people = people
        self._approved: set[str] = set()
        self._revoked: set[str] = set()
        self._precedents: dict[str, str] = {}
        self._stops = 0
        self.stop: SignedStop | None = None

    def take(self, entry: HaltEntry) -> None:
        """Replay a revocation, stop or resumption.

        Raises:
            NotAuthenticError, RefusedError: it is not by a person who may, or does not follow from what was before.
        """
        match entry:
            case ApprovalRevoked():
                self._revoke(entry)
            case SiteStopped():
                self._stop(entry)
            case SiteResumed():
                self._resume(entry)

    def check(self, entry: log.LogEntry) -> None:
        """Note what `entry` approves, and check that it does nothing that was halted.

        Raises:
            RefusedError: it does.
        """
        if isinstance(entry, ReservationOpened):
            self._approved.add(entry.request)
        elif isinstance(entry, jobs.JobDecided) and entry.signed.decision.verdict == "approve":
            self._approved.add(entry.signed.decision.request)
        elif isinstance(entry, ApprovedByRules):
            self._precedents[entry.approval.request] = entry.approval.precedent
        request = _acted_on(entry)
        if request is not None:
            precedent = self._precedents.get(request)
            require(request not in self._revoked, "the approval of this request was revoked before")
            require(precedent not in self._revoked, "the approval that this one rests on was revoked before")
            require(self.stop is None, "the site was stopped, and had not been resumed")

    def _revoke(self, entry: ApprovalRevoked) -> None:
        request = entry.signed.revocation.request
        again = request in self._revoked
        self._revoked.add(request)
        verify_revocation(entry.signed, self._owner_key, self._site)
        self._people.require_in_role(entry.signed)
        require(request in self._approved, "a request is revoked that was never approved")
        require(not again, "the request is revoked a second time")

    def _stop(self, entry: SiteStopped) -> None:
        before, self.stop = self.stop, entry.signed
        self._stops += 1
        verify_stop(entry.signed, self._owner_key, self._site)
        self._people.require_in_role(entry.signed)
        require(before is None, "the site is stopped a second time without having been resumed")
        serial = entry.signed.stop.serial
        require(serial == self._stops, f"the stop has number {serial}, and is the site's {self._stops}")

    def _resume(self, entry: SiteResumed) -> None:
        if self.stop is None:
            raise RefusedError("the site is resumed, and was not stopped")
        verify_resumption(entry.signed, self._owner_key, self.stop)
        self._people.require_in_role(entry.signed)
        self.stop = None


def _acted_on(entry: log.LogEntry) -> str | None:
    """The request that `entry` approves, charges, runs or releases something of; None if it does none of these."""
    match entry:
        case ApprovedByRules():
            return entry.approval.request
        case log.DecisionTaken() if entry.signed.decision.verdict == "approve":
            return entry.signed.decision.request
        case jobs.JobDecided() if entry.signed.decision.verdict == "approve":
            return entry.signed.decision.request
        case jobs.ReleaseDecided() if entry.signed.release.verdict == "release":
            return entry.signed.release.request
        case (
            ReservationOpened()
            | ChargeMade()
            | log.RoundComputed()
            | log.UpdateReleased()
            | jobs.JobTried()
            | jobs.JobStarted()
            | jobs.OutputsInspected()
            | jobs.OutputsReleased()
        ):
            return entry.request
    return None
