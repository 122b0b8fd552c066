"""The trainers of a datasite: one locked-down child a study, started early, given data only once a round is charged."""

import time
from collections.abc import Set
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from datasites.catalog.snapshot import CheckedSnapshot, open_snapshot
from datasites.execution.admission import check_seconds, require_to_be_checked, took_too_long
from datasites.execution.cache_space import cache_file, room_for_cache
from datasites.execution.charge_round import Assignment
from datasites.execution.followers import Followers
from datasites.execution.gather import gather
from datasites.execution.study_message import public_size, study_bytes, study_message, study_pieces
from datasites.execution.team import Team
from datasites.execution.trainer_messages import Round
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import RoundResult, TrainerFailedError
from datasites.execution.trainer_start import MEMORY_BYTES
from datasites.halts.revoked import rests_on_revoked
from datasites.halts.stopped import is_stopped
from datasites.requests.patience import rules_if_any
from datasites.requests.records import Request
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.data_sets import DataSet
from datasites.store.engine import reading
from policies.errors import CloisterError, NotAuthenticError, UnavailableError
from policies.programs.digests import MODEL_DOMAIN
from policies.rules.house_rules import HouseRules


class Trainers:
    """Trainer processes by request. They hold one study's data each and are never shared.

    Where the house rules spread a data set over several machines, each is the leader of a team.
    """

    def __init__(self, site: Site, followers: Followers | None = None) -> None:
        """Of `followers` its teams are made; without any there are none."""
        self._site = site
        self._followers = followers or Followers()
        self._running: dict[str, TrainerProcess] = {}
        self._teams: dict[str, Team] = {}
        self._awaited: list[int] = []
        self._loaded: dict[str, CheckedSnapshot] = {}
        self._checked: set[str] = set()

    def check(self, request: Request, data_set: DataSet) -> None:
        """Try the programs of a study that nobody approved, by `start`, in no more time than any such study gets.

        Raises:
            InvalidInputError: also if it takes longer.
            TrainerFailedError: also if it was halted meanwhile.
        """
        seconds = check_seconds(request.terms, self._rules())
        self._checked = {request.digest}
        try:
            self._start(request, data_set, seconds)
        except TrainerFailedError as error:
            if error.was_late:
                raise took_too_long(seconds) from error
            raise
        finally:
            self._checked = set()

    def start(self, request: Request, data_set: DataSet) -> TrainerProcess:
        """The study's trainer, started and its programs checked if it is not running; it has no data yet.

        Raises:
            InvalidInputError: the trainer refused the programs; the reason may be told.
            NotAuthenticError: what is stored for the request was changed since it was received.
            TrainerFailedError: it ended without an answer.
        """
        return self._start(request, data_set, request.terms.deadlines.setup_seconds)

    def _start(self, request: Request, data_set: DataSet, seconds: int) -> TrainerProcess:
        deadline = time.monotonic() + seconds
        if not self.is_running(request) or not self._is_as_ruled(request, data_set):
            self.end(request.digest)  # one that was killed meanwhile, for memory say, or lost a machine
        trainer = self._running.get(request.digest)
        if trainer is None:
            rules = self._rules()
            team = self._teams[request.digest] = Team(rules.machines_for(data_set.name))
            trainer = TrainerProcess(
                memory_bytes=MEMORY_BYTES,
                threads=rules.training.threads,
                place=team.place,
                start_seconds=seconds,
                cache_bytes=room_for_cache(self._site.home.snapshots),
            )
            try:
                self._running[request.digest] = trainer  # from here on a halt kills it
                trainer.__enter__()
                if request.digest in self._checked:
                    require_to_be_checked(self._site, request.digest)
                study = study_message(self._site, request, data_set.manifest, rules.training.gradients)
                pieces, size = study_pieces(self._site, request), study_bytes(self._site, request)
                trainer.prepare(study, pieces, size, seconds=deadline - time.monotonic())
            except CloisterError:
                self.end(request.digest)
                raise
        return trainer

    def warm(self, request: Request, data_set: DataSet) -> TrainerProcess:
        """The study's trainer as `start` gives it, once all machines that train with it have prepared the study too.

        Raises:
            RefusedError: one of the machines cannot train it, or this one has no room to deal out its data.
            UnavailableError: one of the machines is gone, or late: it may be tried again.
        """
        trainer = self.start(request, data_set)
        team = self._teams.get(request.digest)
        if team is not None and not team.is_complete:
            try:
                gather(self._site, self._followers, team, request, data_set, trainer.cache_bytes)
            except CloisterError:
                self.end(request.digest)
                raise
        return trainer

    def is_ready(self, connection: Connection, request: Request) -> bool:
        """Whether all machines that train the request have prepared it; a round is not charged before."""
        rules = rules_if_any(connection, self._site)
        if rules is None or (request.digest in self._loaded and self.is_running(request)):
            return True
        machines, team = rules.machines_for(request.data_set), self._teams.get(request.digest)
        if machines == 1:
            return True
        return team is not None and team.machines == machines and team.is_complete and self.is_running(request)

    def can_gather(self, connection: Connection, request: Request) -> bool:
        """Whether the request waits for machines that have all joined by now, so that `warm` makes it ready."""
        rules = rules_if_any(connection, self._site)
        if rules is None or self.is_ready(connection, request):
            return False
        missing = self._followers.missing(rules.machines_for(request.data_set))
        if missing and missing != self._awaited:
            report(f"Request {request.number} waits for machine {', '.join(map(str, missing))} of this site.")
        self._awaited = missing
        return not missing

    def compute(self, assignment: Assignment) -> RoundResult:
        """Compute a charged round.

        Raises:
            TrainerFailedError: the trainer ended, or did not answer in time.
            NotAuthenticError: the snapshot on disk is not the one that was approved, or was changed meanwhile.
        """
        request, data_set = assignment.request, assignment.data_set
        terms = request.terms
        try:
            trainer = self.warm(request, data_set)
        except UnavailableError as error:  # a machine was lost just after the charge, and before there was data
            raise TrainerFailedError(str(error), was_killed=True) from error
        team, seconds = self._teams[request.digest], terms.deadlines.round_seconds
        if request.digest not in self._loaded:
            self._load(request, trainer, data_set, seconds)
        asked = Round(
            number=assignment.round_number,
            trains=terms.trains_in(assignment.round_number),
            evaluates=terms.evaluates_in(assignment.round_number),
        )
        model = partial(self._site.contents.checked, assignment.model, MODEL_DOMAIN)
        team.round(asked, 4 * terms.programs.parameter_count, model, seconds)
        try:
            result = trainer.round(
                model(), number=asked.number, trains=asked.trains, evaluates=asked.evaluates, seconds=seconds
            )
        except TrainerFailedError as error:
            raise team.judged(error) from error
        self._loaded[request.digest].require_unchanged()
        return replace(result, layers=team.common(result.layers))

    def _load(self, request: Request, trainer: TrainerProcess, data_set: DataSet, seconds: float) -> None:
        """Check the snapshot, and hand the trainer the descriptor that was checked; it is kept for another look."""
        path = self._site.home.snapshots / data_set.snapshot_file
        snapshot = open_snapshot(path, data_set.snapshot_commitment, self._site.catalog_keys.commitment)
        try:
            if snapshot.layout.manifest != data_set.manifest.digest():
                raise NotAuthenticError("The snapshot was made by another manifest than the stored one; restore it.")
            self._loaded[request.digest] = snapshot  # from here on a stop kills it; before, it found nothing to kill
            with reading(self._site.engine) as connection:
                if is_stopped(connection, self._site) or rests_on_revoked(connection, request):
                    raise TrainerFailedError("The study was halted before its trainer had data.", was_killed=True)
            team, folder = self._teams[request.digest], self._site.home.snapshots
            size = public_size(data_set.manifest)
            with team.dealt(snapshot, size, folder, seconds) as part, cache_file(folder, trainer.cache_bytes) as cache:
                trainer.load(part, cache, seconds=seconds)
        except CloisterError as error:
            self._loaded.pop(request.digest, None)
            snapshot.close()
            if isinstance(error, UnavailableError):  # no room on the disk, before it had data
                raise TrainerFailedError(str(error), was_killed=True) from error
            raise

    def is_running(self, request: Request) -> bool:
        """Whether the study's trainer has been started and lives, as do those of its team."""
        trainer, team = self._running.get(request.digest), self._teams.get(request.digest)
        return trainer is not None and not trainer.ended and not (team is not None and team.is_broken)

    def _is_as_ruled(self, request: Request, data_set: DataSet) -> bool:
        """Whether it leads as many machines as the owner ruled; one that has data already goes on as it began."""
        team = self._teams.get(request.digest)
        if team is None or request.digest in self._loaded:
            return True
        return team.machines == self._rules().machines_for(data_set.name)

    def end(self, digest: str) -> None:
        """End the trainer of a study that needs it no more."""
        trainer = self._running.pop(digest, None)
        snapshot = self._loaded.pop(digest, None)
        if snapshot is not None:
            snapshot.close()
        if trainer is not None:
            trainer.__exit__(None, None, None)
        team = self._teams.pop(digest, None)
        if team is not None:
            team.close()

    def end_all_but(self, digests: Set[str]) -> None:
        """End every trainer but those of the requests with these digests."""
        for digest in self._running.keys() - digests:
            self.end(digest)

    @property
    def busy(self) -> set[str]:
        """The digests of the requests whose trainers hold data, or are being checked; for any thread."""
        return {*self._loaded, *self._checked}

    def kill(self, digests: Set[str]) -> None:
        """Kill, from any thread, the trainers of the requests with these digests."""
        for digest in digests:
            trainer = self._running.get(digest)
            if trainer is not None:
                trainer.kill()
            team = self._teams.get(digest)
            if team is not None:
                team.cut()

    def _rules(self) -> HouseRules:
        with reading(self._site.engine) as connection:
            return self._site.house_rules(connection).rules
