"""A study as the trainer holds it: both programs ready, and the numbers of the terms."""

from dataclasses import dataclass

from datasites.execution.trainer_messages import MAXIMUM_PARAMETER_BYTES, Prepare
from datasites.tensor_programs.load import load_parameters
from datasites.training.prepared import PreparedProgram, prepare_program
from policies.errors import InvalidInputError
from policies.programs.check import check_pair, check_record
from policies.programs.format import parse_program
from policies.terms import Evaluation, Training


@dataclass(frozen=True, eq=False)
class Study:
    """What every round of the study uses."""

    loss: PreparedProgram
    metrics: PreparedProgram
    training: Training
    evaluation: Evaluation


def prepare_study(message: Prepare, parameters: bytes, memory_bytes: int) -> Study:
    """Check everything a study brings, before any data is there.

    Raises:
        InvalidInputError: a program is not allowed, or programs, parameters, terms and data set do not fit together.
    """
    loss, metrics = parse_program(message.loss.encode()), parse_program(message.metrics.encode())
    check_pair(loss, metrics)
    check_record(loss, message.record)
    if loss.parameter_count != message.parameter_count:
        raise InvalidInputError(
            f"The programs train {loss.parameter_count} parameters and the terms say {message.parameter_count}."
        )
    if set(metrics.output_names) != set(message.evaluation.metrics):
        raise InvalidInputError("The metrics program computes other metrics than the terms name.")
    values = load_parameters(parameters, loss, maximum_bytes=MAXIMUM_PARAMETER_BYTES)
    return Study(
        loss=prepare_program(loss, kind="loss", values=values, memory_bytes=memory_bytes),
        metrics=prepare_program(metrics, kind="metrics", values=values, memory_bytes=memory_bytes),
        training=message.training,
        evaluation=message.evaluation,
    )
