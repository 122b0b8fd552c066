"""From a training plan to what a site runs: two tensor programs and initial parameters, compared with the plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from datasites.tensor_programs.bounds import check_bounds
from datasites.tensor_programs.load import save_parameters
from policies.errors import InvalidInputError
from policies.programs.check import Purpose
from policies.programs.format import Input, Kind, Program
from policies.record_form import RecordForm
from policies.statements.schema import describe_validation_error
from researcher.faithfulness import Sample, check_faithful, draw_sample
from researcher.measured import MeasuredNames, measured_names, measured_values
from researcher.plan import TrainingPlan
from researcher.plan_source import own_classes, plan_source
from researcher.source_lines import line_that_names
from researcher.tracing import Traced, annotated, evaluating, trace
from researcher.trainable import freeze_others
from researcher.translation.call import DTYPES
from researcher.translation.graph import translate
from researcher.translation.table import HANDLERS

_LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class ExportedPlan:
    """What a study brings along.

    `parameters` is the safetensors file with the initial parameters and the constants of both programs; `model` the
    plan's model, with those parameters, for results to load trained ones into; `measured` names the metrics program's
    results.
    """

    loss: Program
    metrics: Program
    parameters: bytes
    source: str
    parameter_count: int
    model: nn.Module
    measured: MeasuredNames


def export(plan: TrainingPlan, record: RecordForm) -> ExportedPlan:
    """Export the plan for records of the form `record`.

    Where the form does not say how many category indices an int64 target has, the width of the model's output does.
    A parameter that the loss does not reach is not trained. The programs are compared with the plan on random records:
    results, and per-record gradients under the same random numbers, to 1e-5.

    Raises:
        InvalidInputError: something in the plan has no tensor program, would leak or would not mean the same; the
            text names it, where it is, and the remedy.
    """
    model = plan.model()
    _check_batches(plan, model)
    freeze_others(model, plan.trainable)
    with torch.random.fork_rng(devices=[]):
        return _export(plan, model, draw_sample(model, record))


def _export(plan: TrainingPlan, model: nn.Module, sample: Sample) -> ExportedPlan:
    measured = _measured_names(plan, model, sample)
    loss_line, metrics_line, scores_line = annotated(plan.loss), annotated(plan.metrics), annotated(plan.scores)

    def loss_of(output: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return (loss_line(output, target),)

    def metrics_of(output: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        values = measured_values(metrics_line, scores_line, output, target)
        return tuple(values[name].to(torch.float32).reshape(()) for name in measured.outputs)

    one = sample.features[0], sample.targets[0]
    loss_trace = trace(model, loss_of, one, "loss")
    with evaluating(model):
        metrics_trace = trace(model, metrics_of, one, "metrics")
    trained = _trained(model, loss_trace)
    constants = {
        name: _finite(value) for name, value in {**loss_trace.used, **metrics_trace.used}.items() if name not in trained
    }
    inputs = (
        *(_input(name, "parameter", trained[name]) for name in sorted(trained)),
        *(_input(name, "constant", constants[name]) for name in sorted(constants)),
        _input("feature", "feature", one[0]),
        _input("target", "target", one[1]),
    )
    loss = _program(loss_trace, inputs, ("loss",), "loss")
    metrics = _program(metrics_trace, inputs, measured.outputs, "metrics")
    parameters = save_parameters({**trained, **constants}, loss)
    check_faithful(plan, model, sample, loss, metrics, measured, parameters)
    return ExportedPlan(loss, metrics, parameters, plan_source(plan, model), loss.parameter_count, model, measured)


def _check_batches(plan: TrainingPlan, model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            kind = type(module).__name__
            raise InvalidInputError(
                f"The model's {name!r} is a {kind}{line_that_names(own_classes(plan, model), kind)}, which mixes the "
                "records of a batch; use nn.LayerNorm or nn.GroupNorm."
            )


def _trained(model: nn.Module, loss: Traced) -> Mapping[str, Tensor]:
    reached = loss.differentiated
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad and name in reached}
    if not trained:
        raise InvalidInputError("The plan's loss does not depend on any parameter that is trained; mend the loss.")
    return trained


def _measured_names(plan: TrainingPlan, model: nn.Module, sample: Sample) -> MeasuredNames:
    """Run the plan once as ordinary torch, so that its mistakes appear as themselves and not inside an export."""
    with torch.no_grad():
        loss = plan.loss(model(sample.features[:1]), sample.targets[:1])
        with evaluating(model):
            measured = measured_names(plan, model(sample.features[:1]), sample.targets[:1])
    if not isinstance(loss, Tensor) or loss.shape != () or loss.dtype != torch.float32:
        raise InvalidInputError("The plan's loss must return one float32 number: the mean or the sum over the batch.")
    return measured


def _finite(constant: Tensor) -> Tensor:
    """Infinite numbers, as masks have them, become the largest; a program has finite constants only."""
    value = constant.detach()
    return value.clamp(-_LARGEST, _LARGEST) if value.dtype == torch.float32 else value


def _input(name: str, kind: Kind, value: Tensor) -> Input:
    if value.dtype not in DTYPES:
        raise InvalidInputError(
            f"The model's {name!r} is {value.dtype}; use float32 (.float()), int64 (.long()) or bool."
        )
    try:
        return Input(name=name, kind=kind, shape=tuple(value.shape), dtype=DTYPES[value.dtype])
    except ValidationError as error:
        raise InvalidInputError(f"The model's {name!r} does not fit ({describe_validation_error(error)}).") from error


def _program(traced: Traced, inputs: Sequence[Input], names: Sequence[str], kind: Purpose) -> Program:
    where = f"The plan's {kind}"
    program = translate(traced.graph, traced.placeholders, inputs, names, HANDLERS, where, may_draw=kind == "loss")
    check_bounds(program, kind=kind)
    return program
