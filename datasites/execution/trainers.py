"""The trainers of a datasite: one locked-down child a study, started early, given data only once a round is charged."""

from collections.abc import Set
from itertools import chain

from datasites.catalog.snapshot import CheckedSnapshot, open_snapshot
from datasites.execution.approval import required_files
from datasites.execution.cache_space import cache_file, room_for_cache
from datasites.execution.charge_round import Assignment
from datasites.execution.trainer_messages import DataSize, Prepare
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import RoundResult, TrainerFailedError
from datasites.halts.revoked import rests_on_revoked
from datasites.halts.stopped import is_stopped
from datasites.requests.records import Request
from datasites.site import Site
from datasites.store.data_sets import DataSet
from datasites.store.engine import reading
from policies.errors import CloisterError, NotAuthenticError, UnavailableError
from policies.programs.digests import MODEL_DOMAIN
from policies.rules.training_rules import TrainingRules

_MEMORY_BYTES = 8 << 30


class Trainers:
    """Trainer processes by request. They hold one study's data each and are never shared."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._running: dict[str, TrainerProcess] = {}
        self._loaded: dict[str, CheckedSnapshot] = {}

    def start(self, request: Request, data_set: DataSet) -> TrainerProcess:
        """The study's trainer, started and its programs checked if it is not running; it has no data yet.

        Raises:
            InvalidInputError: the trainer refused the programs; the reason may be told.
            NotAuthenticError: what is stored for the request was changed since it was received.
            TrainerFailedError: it ended without an answer.
        """
        if not self.is_running(request):
            self.end(request.digest)  # one that was killed meanwhile, for memory say
        trainer = self._running.get(request.digest)
        if trainer is None:
            trainer = TrainerProcess(
                memory_bytes=_MEMORY_BYTES,
                threads=self._rules().threads,
                start_seconds=request.terms.deadlines.setup_seconds,
                cache_bytes=room_for_cache(self._site.home.snapshots),
            )
            trainer.__enter__()
            self._running[request.digest] = trainer
            try:
                self._prepare(trainer, request, data_set)
            except CloisterError:
                self.end(request.digest)
                raise
        return trainer

    def compute(self, assignment: Assignment) -> RoundResult:
        """Compute a charged round.

        Raises:
            TrainerFailedError: the trainer ended, or did not answer in time.
            NotAuthenticError: the snapshot on disk is not the one that was approved, or was changed meanwhile.
        """
        request, data_set = assignment.request, assignment.data_set
        terms = request.terms
        trainer = self.start(request, data_set)
        if request.digest not in self._loaded:
            self._load(request, trainer, data_set, terms.deadlines.round_seconds)
        result = trainer.round(
            self._site.contents.checked(assignment.model, MODEL_DOMAIN),
            number=assignment.round_number,
            trains=terms.trains_in(assignment.round_number),
            evaluates=terms.evaluates_in(assignment.round_number),
            seconds=terms.deadlines.round_seconds,
        )
        self._loaded[request.digest].require_unchanged()
        return result

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
            with cache_file(self._site.home.snapshots, trainer.cache_bytes) as cache:
                trainer.load(snapshot.descriptor, cache, seconds=seconds)
        except CloisterError as error:
            self._loaded.pop(request.digest, None)
            snapshot.close()
            if isinstance(error, UnavailableError):  # no room on the disk, before the trainer had data
                raise TrainerFailedError(str(error), was_killed=True) from error
            raise

    def is_running(self, request: Request) -> bool:
        """Whether the study's trainer has been started and lives."""
        trainer = self._running.get(request.digest)
        return trainer is not None and not trainer.ended

    def end(self, digest: str) -> None:
        """End the trainer of a study that needs it no more."""
        trainer = self._running.pop(digest, None)
        snapshot = self._loaded.pop(digest, None)
        if snapshot is not None:
            snapshot.close()
        if trainer is not None:
            trainer.__exit__(None, None, None)

    def end_all_but(self, digests: Set[str]) -> None:
        """End every trainer but those of the requests with these digests."""
        for digest in self._running.keys() - digests:
            self.end(digest)

    def kill_all_but(self, digests: Set[str]) -> None:
        """Kill, from any thread, every trainer that holds data but those of the requests with these digests."""
        for digest in set(self._loaded) - digests:
            trainer = self._running.get(digest)
            if trainer is not None:
                trainer.kill()

    def _rules(self) -> TrainingRules:
        with reading(self._site.engine) as connection:
            return self._site.house_rules(connection).rules.training

    def _prepare(self, trainer: TrainerProcess, request: Request, data_set: DataSet) -> None:
        manifest, terms = data_set.manifest, request.terms
        parameters, tokeniser = required_files(self._site, request)
        tokens = terms.programs.tokens
        study = Prepare(
            loss=request.loss_program,
            metrics=request.metrics_program,
            training=terms.training,
            evaluation=terms.evaluation,
            parameter_count=terms.programs.parameter_count,
            record=manifest.record_form(None if tokens is None else tokens.form),
            tokens=tokens,
            tokeniser_bytes=tokeniser.size,
            size=DataSize(
                nominal_training_units=manifest.training_units,
                nominal_holdout_units=manifest.holdout_units,
                maximum_records=manifest.privacy_unit.maximum_records,
            ),
            gradients=self._rules().gradients,
        )
        pieces = chain(parameters.pieces, tokeniser.pieces)
        size = parameters.size + tokeniser.size
        trainer.prepare(study, pieces, size, seconds=terms.deadlines.setup_seconds)
