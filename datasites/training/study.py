"""A study as the trainer holds it: both programs ready, and the numbers of the terms."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from datasites.catalog.capacity import capacity
from datasites.execution.trainer_messages import MAXIMUM_PROGRAM_VALUES_BYTES, DataSize, Prepare
from datasites.tensor_programs.load import load_parameters
from datasites.tensor_programs.operations import TORCH_TYPES
from datasites.training.choice import TrainedLoss
from datasites.training.clipping import require_addable
from datasites.training.data import UnitData
from datasites.training.frozen_prefix import FrozenPrefix, keep_record, split
from datasites.training.prepared import PreparedProgram, prepare_program
from datasites.training.tokens import TextReader, open_reader
from policies.errors import InvalidInputError
from policies.programs.check import Purpose, check_pair, check_record
from policies.programs.format import Program, parse_program
from policies.terms import Evaluation, Training


@dataclass(frozen=True, eq=False)
class Study:
    """What every round of the study uses.

    Where there is a prefix, the program is the rest of it, and takes what the prefix gave of each record. Where there
    is a reader, it makes the records' features of texts.
    """

    loss: TrainedLoss
    metrics: PreparedProgram
    training_prefix: FrozenPrefix | None
    holdout_prefix: FrozenPrefix | None
    training: Training
    evaluation: Evaluation
    size: DataSize
    reader: TextReader | None

    @property
    def cache_bytes(self) -> int:
        """The size of the file that the prefixes' values take."""
        prefixes = (self.training_prefix, self.holdout_prefix)
        return sum(prefix.cache_bytes for prefix in prefixes if prefix is not None)


def prepare_study(message: Prepare, files: bytes, memory_bytes: int, cache_bytes: int, workers: int = 1) -> Study:
    """Check everything a study brings, before any data is there.

    Args:
        files: the body of `message`.
        memory_bytes: what one chunk of a computation may need.
        cache_bytes: what may be kept on disk of what is computed once.
        workers: how many train together, each with its part of the units.

    Raises:
        InvalidInputError: a program is not allowed, or programs, parameters, terms and data set do not fit together,
            or a step has more units than can be added up.
    """
    loss, metrics = parse_program(message.loss.encode()), parse_program(message.metrics.encode())
    check_pair(loss, metrics)
    check_record(loss, message.record)
    if loss.parameter_count != message.parameter_count:
        raise InvalidInputError(
            f"The programs train {loss.parameter_count} parameters and the terms say {message.parameter_count}."
        )
    if metrics.output_names != message.evaluation.outputs:
        raise InvalidInputError("The metrics program computes other metrics or scores than the terms name.")
    parameters, tokeniser = files[: len(files) - message.tokeniser_bytes], files[len(files) - message.tokeniser_bytes :]
    reader = None if message.tokens is None else open_reader(tokeniser, message.tokens, message.record.features)
    values = load_parameters(parameters, loss, maximum_bytes=MAXIMUM_PROGRAM_VALUES_BYTES)
    share = message.size.share(workers)
    own = message.model_copy(update={"size": share})
    loss_part, training_prefix = _prepared(loss, values, own, "loss", memory_bytes, cache_bytes)
    left = cache_bytes - (0 if training_prefix is None else training_prefix.cache_bytes)
    metrics_part, holdout_prefix = _prepared(metrics, values, own, "metrics", memory_bytes, left)
    for it in (metrics_part, training_prefix, holdout_prefix):
        if it is not None:
            it.forward.require_computable()
    trained = TrainedLoss(loss_part, memory_bytes, message.gradients)
    places = capacity(share.nominal_training_units, message.training.sampling_rate)
    unit = _one_unit(loss_part.program, share.maximum_records)
    require_addable(workers * places)
    trained.fitted(places, unit, message.training.clipping_norm)
    return Study(
        loss=trained,
        metrics=metrics_part,
        training_prefix=training_prefix,
        holdout_prefix=holdout_prefix,
        training=message.training,
        evaluation=message.evaluation,
        size=message.size,
        reader=reader,
    )


def _one_unit(program: Program, records: int) -> UnitData:
    """A unit without a record, as the program takes units."""
    given = program.inputs[len(program.parameters) + len(program.constants) :]
    values = [torch.zeros(1, records, *entry.shape, dtype=TORCH_TYPES[entry.dtype]) for entry in given]
    drawn = [torch.zeros(1, records, *draw.shape) for draw in program.draws]
    return UnitData((*values, *drawn), torch.zeros(1, records, dtype=torch.bool))


def _prepared(
    program: Program, values: Mapping[str, Tensor], message: Prepare, kind: Purpose, memory_bytes: int, room: int
) -> tuple[PreparedProgram, FrozenPrefix | None]:
    """What rounds compute, and what is computed once, if that pays and `room` bytes hold it; texts are read once."""
    whole = prepare_program(program, kind=kind, values=values, memory_bytes=memory_bytes)
    size, training = message.size, message.training
    if kind == "loss":
        places = capacity(size.nominal_training_units, 1.0)
        a_step = capacity(size.nominal_training_units, training.sampling_rate)
        otherwise = training.rounds * training.local_steps * a_step
    else:
        places = capacity(size.nominal_holdout_units, 1.0)
        otherwise = len(message.evaluation.models) * places
    parts = split(
        whole,
        places=places,
        otherwise=otherwise,
        records=size.maximum_records,
        kind=kind,
        memory_bytes=memory_bytes,
    )
    if parts is not None and parts[0].cache_bytes <= room:
        prefix, rest = parts
        return rest, prefix
    if message.tokens is None or not otherwise:
        return whole, None
    kept = keep_record(whole, places=places, records=size.maximum_records)
    if kept.cache_bytes > room:
        raise InvalidInputError(
            f"The tokens of this data set take {kept.cache_bytes} bytes of this site's disk, more than it may use; "
            "ask for fewer tokens a text."
        )
    return whole, kept
