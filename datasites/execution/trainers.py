"""The trainers of a datasite: one locked-down child a study, started early, given data only once a round is charged."""

import time
from collections.abc import Iterator, Set
from dataclasses import replace
from functools import partial
from itertools import chain

from sqlalchemy import Connection

from datasites.catalog.snapshot import CheckedSnapshot, open_snapshot
from datasites.execution.admission import check_seconds, require_to_be_checked, took_too_long
from datasites.execution.approval import required_files
from datasites.execution.cache_space import cache_file, room_for_cache
from datasites.execution.charge_round import Assignment
from datasites.execution.follower_messages import Begin
from datasites.execution.followers import Followers
from datasites.execution.study_message import data_size, study_message
from datasites.execution.team import Team
from datasites.execution.trainer_messages import Prepare, Round
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import RoundResult, TrainerFailedError
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

_MEMORY_BYTES = 8 << 30


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
                memory_bytes=_MEMORY_BYTES,
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
                self._prepare(trainer, request, data_set, deadline - time.monotonic())
            except CloisterError:
                self.end(request.digest)
                raise
        return trainer

    def is_ready(self, connection: Connection, request: Request) -> bool:
        """Whether the machines are there that train the request; a round is not charged before they are."""
        rules = rules_if_any(connection, self._site)
        if rules is None or (request.digest in self._loaded and self.is_running(request)):
            return True
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
        trainer = self.start(request, data_set)
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
            self._gather(request, data_set)
            team, folder = self._teams[request.digest], self._site.home.snapshots
            size = data_size(data_set.manifest)
            with team.dealt(snapshot, size, folder, seconds) as part, cache_file(folder, trainer.cache_bytes) as cache:
                trainer.load(part, cache, seconds=seconds)
        except CloisterError as error:
            self._loaded.pop(request.digest, None)
            snapshot.close()
            if isinstance(error, UnavailableError):  # no room on the disk, or a machine not there, before it had data
                raise TrainerFailedError(str(error), was_killed=True) from error
            raise

    def _gather(self, request: Request, data_set: DataSet) -> None:
        """Let the followers of the request's team prepare the study."""
        team = self._teams[request.digest]
        if team.machines == 1:
            return
        deadlines = request.terms.deadlines
        begin = Begin(
            rank=1,
            count=team.machines,
            threads=self._rules().training.threads,
            memory_bytes=_MEMORY_BYTES,
            setup_seconds=deadlines.setup_seconds,
            round_seconds=deadlines.round_seconds,
        )
        size = sum(it.size for it in required_files(self._site, request))
        links = self._followers.take(team.machines)
        team.start(links, begin, self._study(request, data_set), size, partial(self._pieces, request))

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

    def _prepare(self, trainer: TrainerProcess, request: Request, data_set: DataSet, seconds: float) -> None:
        size = sum(it.size for it in required_files(self._site, request))
        trainer.prepare(self._study(request, data_set), self._pieces(request), size, seconds=seconds)

    def _pieces(self, request: Request) -> Iterator[bytes]:
        """The parameter file and the tokeniser."""
        return chain.from_iterable(it.pieces for it in required_files(self._site, request))

    def _study(self, request: Request, data_set: DataSet) -> Prepare:
        _, tokeniser = required_files(self._site, request)
        return study_message(request, data_set.manifest, tokeniser.size, self._rules().training.gradients)
