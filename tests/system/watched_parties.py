"""Where the kill points lie: every commit, message, blob and file of a datasite, a relay and a researcher."""

import importlib
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from datasites.protocol import mailbox as mailbox_module
from datasites.protocol.sealed import Sealed
from tests.system.kill_points import KillPoints

_SMALL_PIECE_BYTES = 16 * 1024
"""So that a blob of less than a mebibyte has a middle."""

_TRANSACTIONS_OF_A_SITE = {
    "received": "serving.incoming.receive_study",
    "admitted": "execution.worker.admit",
    "set-up": "serving.incoming.start_run",
    "roster": "serving.incoming.accept_roster",
    "asked": "serving.incoming.ask_round",
    "charged": "execution.worker.charge_next_round",
    "answered": "execution.answer_round.store_answer",
    "released": "execution.release_round.enqueue",
    "witness-kept": "serving.log_letters.keep_checkpoint",
    "witness-heard": "serving.log_letters.hear_witness",
    "sent": "serving.outgoing.sent",
    "begun": "service.begin_anew",
    "job-received": "serving.incoming.receive_job",
    "job-tried": "execution.jobs.try_job.set_job_status",
    "job-begun": "execution.jobs.run_job._begin",
    "job-ended": "execution.jobs.run_job.facts_of",
    "job-settled": "execution.jobs.inspect_job.findings_seal",
    "job-told": "requests.jobs.tell.set_job_status",
}


def watch_site(points: KillPoints) -> None:
    """Put kill points into a process that will run `datasite serve`."""
    from sqlalchemy.engine.default import DefaultDialect  # each party imports no more than it needs

    for word, function in _TRANSACTIONS_OF_A_SITE.items():
        module, _, name = function.rpartition(".")
        matters = (lambda given: given is not None) if word == "charged" else (lambda _given: True)
        points.mark(importlib.import_module(f"datasites.{module}"), name, word, matters)
    commit, undo = DefaultDialect.do_commit, DefaultDialect.do_rollback

    def watched_commit(self: Any, connection: Any) -> None:
        points.before_commit()
        commit(self, connection)
        points.after_commit()

    def watched_rollback(self: Any, connection: Any) -> None:
        points.forget_marks()
        undo(self, connection)

    DefaultDialect.do_commit = watched_commit  # type: ignore[method-assign]
    DefaultDialect.do_rollback = watched_rollback  # type: ignore[method-assign]
    _watch_mailbox(points)
    _watch_renames(points, "contents")
    trainer = importlib.import_module("datasites.execution.trainer_process")
    points.around(importlib.import_module("datasites.execution.trainers").Trainers, "compute", "compute")
    points.around(trainer.TrainerProcess, "load", "load")
    points.around(trainer, "read_header", "step")  # the trainer has the model, and computes
    points.around(trainer, "read_into", "block")  # of the result that the trainer writes


def watch_relay(points: KillPoints) -> None:
    """Put kill points into a process that will run `datasite relay run`."""
    from datasites.relay import app, store, upload
    from datasites.relay.blob_folder import BlobFolder

    plain = store._transaction

    @contextmanager
    def transaction(connection: Any) -> Iterator[Any]:
        with plain(connection) as inside:
            yield inside
            points.reach("before:commit")
        points.reach("after:commit")

    store._transaction = transaction
    app.PIECE_BYTES = _SMALL_PIECE_BYTES
    points.around(store.RelayStore, "deposit", "deposit")
    points.around(store.RelayStore, "letters", "letters")
    points.around(store.RelayStore, "forget", "forget")
    points.around(upload.Upload, "write", "upload")
    points.around(BlobFolder, "keep", "keep")
    points.around(app, "read_at", "download")
    _watch_renames(points, "blobs")


def watch_researcher(points: KillPoints) -> None:
    """Put kill points into a process that will run a researcher's study."""
    from datasites.secure_averaging.coordinator import RunningSum
    from researcher import state, study

    plain = state.State.transaction

    @contextmanager
    def transaction(self: state.State) -> Iterator[Any]:
        with plain(self) as connection:
            yield connection
            points.reach("before:commit")
        points.reach("after:commit")

    state.State.transaction = transaction  # type: ignore[method-assign]
    points.around(state.State, "finish_round", "finish")
    points.around(state, "write_private_file", "model-file")
    points.around(study, "set_up_run", "set-up")
    points.around(RunningSum, "add", "answer")
    _watch_mailbox(points)
    _watch_renames(points, "models")


@dataclass(frozen=True)
class _InSmallPieces:
    """Sealed content as another, handed over in small pieces with a kill point between them."""

    whole: Sealed
    points: KillPoints

    @property
    def reference(self) -> Any:
        return self.whole.reference

    def pieces(self, offset: int) -> Iterator[bytes]:
        small = (
            piece[start : start + _SMALL_PIECE_BYTES]
            for piece in self.whole.pieces(offset)
            for start in range(0, len(piece), _SMALL_PIECE_BYTES)
        )
        return self.points.inside(small, "put")


def _watch_mailbox(points: KillPoints) -> None:
    mailbox_module._PIECE_BYTES = _SMALL_PIECE_BYTES
    box = mailbox_module.Mailbox
    put, get = box.put_blob, box.get_blob

    def put_blob(self: Any, sealed: Sealed, seconds: float) -> None:
        put(self, _InSmallPieces(sealed, points), seconds)

    def get_blob(self: Any, reference: Any, seconds: float) -> Iterator[bytes]:
        points.reach("before:get")
        yield from points.inside(get(self, reference, seconds), "get")
        points.reach("after:get")

    box.put_blob, box.get_blob = put_blob, get_blob  # type: ignore[method-assign]
    for name, point in (("send", "send"), ("receive", "receive"), ("put_blob", "put")):
        points.around(box, name, point)


def _watch_renames(points: KillPoints, folder: str) -> None:
    plain = pathlib.Path.replace

    def replace(self: pathlib.Path, target: Any) -> pathlib.Path:
        watched = self.parent.name == folder
        if watched:
            points.reach("before:rename")
        given = plain(self, target)
        if watched:
            points.reach("after:rename")
        return given

    pathlib.Path.replace = replace  # type: ignore[method-assign]
