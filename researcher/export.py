"""From a training plan to what a site runs: two tensor programs and initial parameters, compared with the plan."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from datasites.tensor_programs.bounds import check_bounds
from datasites.tensor_programs.load import save_parameters
from policies.errors import InvalidInputError
from policies.programs.format import WORD, Input, Kind, Program
from policies.record_form import RecordForm
from policies.statements.schema import describe_validation_error
from researcher.faithfulness import Sample, check_faithful, draw_sample
from researcher.plan import TrainingPlan
from researcher.plan_source import plan_source
from researcher.translation.graph import DTYPES, translate
from researcher.translation.table import HANDLERS

_MODEL = "model."
_MAXIMUM_METRICS = 64


@dataclass(frozen=True)
class ExportedPlan:
    """What a study brings along.

    `parameters` is the safetensors file with the initial parameters and the constants of both programs; `model` the
    plan's model, with those parameters, for results to load trained ones into.
    """

    loss: Program
    metrics: Program
    parameters: bytes
    source: str
    parameter_count: int
    model: nn.Module


class _Record(nn.Module):
    """The model and what follows it on one record: features, target → the results."""

    def __init__(self, model: nn.Module, results: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.model = model
        self._results = results

    def forward(self, feature: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return self._results(self.model(feature.unsqueeze(0)), target.unsqueeze(0))


@dataclass(frozen=True)
class _Traced:
    """One exported graph: its inputs' names by placeholder, and the values of its constants by name."""

    exported: ExportedProgram
    placeholders: Mapping[str, str]
    constants: Mapping[str, Tensor]


def export(plan: TrainingPlan, record: RecordForm) -> ExportedPlan:
    """Export the plan for records of the form `record`.

    Where the form does not say how many category indices an int64 target has, the width of the model's output does.
    The programs are compared with the plan on random records: results, and per-record gradients, to 1e-5.

    Raises:
        InvalidInputError: something in the plan has no tensor program, would leak or would not mean the same; the
            text names it, where it is, and the remedy.
    """
    model = plan.model()
    _check_model(model)
    sample = draw_sample(model, record)
    metric_names = _metric_names(plan, model, sample)

    def loss_of(output: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return (plan.loss(output, target),)

    def metrics_of(output: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        values = plan.metrics(output, target)
        return tuple(values[name].to(torch.float32).reshape(()) for name in metric_names)

    aliases = _aliases(model)
    loss_trace = _trace(_Record(model.train(), loss_of), sample, aliases, "loss")
    metrics_trace = _trace(_Record(model.eval(), metrics_of), sample, aliases, "metrics")
    model.train()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    constants = {**loss_trace.constants, **metrics_trace.constants}
    inputs = (
        *(_input(name, "parameter", trained[name]) for name in sorted(trained)),
        *(_input(name, "constant", constants[name]) for name in sorted(constants)),
        _input("feature", "feature", sample.features[0]),
        _input("target", "target", sample.targets[0]),
    )
    loss = _program(loss_trace, inputs, ("loss",), "The plan's loss")
    metrics = _program(metrics_trace, inputs, metric_names, "The plan's metrics")
    check_bounds(loss, kind="loss")
    check_bounds(metrics, kind="metrics")
    parameters = save_parameters({**trained, **constants}, loss)
    check_faithful(plan, model, sample, loss, metrics, parameters)
    return ExportedPlan(loss, metrics, parameters, plan_source(plan, model), loss.parameter_count, model)


def _check_model(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            raise InvalidInputError(
                f"The model's {name!r} is a {type(module).__name__}, which mixes the records of a batch; "
                "use nn.LayerNorm or nn.GroupNorm."
            )
        if isinstance(module, _DropoutNd) and module.p > 0:
            raise InvalidInputError(
                f"The model's {name!r} is a {type(module).__name__}, which draws random numbers; leave it out: "
                "the noise of private training already regularises."
            )
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if not trained:
        raise InvalidInputError("The model has no parameter with requires_grad; there is nothing to train.")
    for name, value in trained.items():
        if value.dtype != torch.float32:
            raise InvalidInputError(f"The parameter {name!r} is {value.dtype}; call .float() on the model.")


def _metric_names(plan: TrainingPlan, model: nn.Module, sample: Sample) -> tuple[str, ...]:
    """Run the plan once as ordinary torch, so that its mistakes appear as themselves and not inside an export."""
    with torch.no_grad():
        output = model(sample.features[:1])
        loss, metrics = plan.loss(output, sample.targets[:1]), plan.metrics(output, sample.targets[:1])
    if not isinstance(loss, Tensor) or loss.shape != () or loss.dtype != torch.float32:
        raise InvalidInputError("The plan's loss must return one float32 number: the mean or the sum over the batch.")
    if not isinstance(metrics, dict) or not 1 <= len(metrics) <= _MAXIMUM_METRICS:
        raise InvalidInputError(f"The plan's metrics must return a dict of 1 to {_MAXIMUM_METRICS} named tensors.")
    for name, value in metrics.items():
        if not isinstance(name, str) or not re.match(WORD, name):
            raise InvalidInputError(f"The metric name {name!r} must be lower-case letters, digits and underscores.")
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InvalidInputError(f"The metric {name!r} must be a tensor: a mean over the batch, or [B] values.")
    return tuple(metrics)


def _trace(record: _Record, sample: Sample, aliases: Mapping[str, str], what: str) -> _Traced:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its own use of pytrees
        return _named(_functional(record, sample, what), record, aliases, what)


def _functional(record: _Record, sample: Sample, what: str) -> ExportedProgram:
    try:
        exported = torch.export.export(record, (sample.features[0], sample.targets[0]))
    except (RuntimeError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"The plan's {what} cannot be exported: Python would have to see a value of a record (an `if`, `float()`, "
            "`.item()` or `.numpy()` on a tensor, a mask as index). Keep values in tensors and choose with torch.where."
        ) from error
    if any(str(node.target) == "wrap_with_set_grad_enabled" for node in exported.graph.nodes):
        raise InvalidInputError(
            f"The plan's {what} uses torch.no_grad(), which export cannot keep; write .detach() on its result instead."
        )
    # Without any decomposition this only makes the graph functional: no writes in place, `detach` kept.
    functional: ExportedProgram = exported.run_decompositions({})
    written = [
        *functional.graph_signature.buffers_to_mutate.values(),
        *functional.graph_signature.user_inputs_to_mutate.values(),
    ]
    if written:
        raise InvalidInputError(
            f"The plan's {what} writes to {written[0]!r}, so that one record would see another; compute without state."
        )
    return functional


def _named(exported: ExportedProgram, record: _Record, aliases: Mapping[str, str], what: str) -> _Traced:
    placeholders: dict[str, str] = {}
    constants: dict[str, Tensor] = {}
    values = {
        **dict(record.named_parameters(remove_duplicate=False)),
        **dict(record.named_buffers(remove_duplicate=False)),
    }
    used = {node.name for node in exported.graph.nodes if node.op == "placeholder" and node.users}
    fed = iter(("feature", "target"))
    for spec in exported.graph_signature.input_specs:
        placeholder = spec.arg.name
        if spec.kind == InputKind.USER_INPUT:
            placeholders[placeholder] = next(fed)
            continue
        target = str(spec.target)
        name = aliases.get(target.removeprefix(_MODEL), f"{what}.{target}")
        placeholders[placeholder] = name
        value = values[target] if target in values else exported.constants[target]
        trained = spec.kind == InputKind.PARAMETER and value.requires_grad
        if placeholder in used and not trained:
            constants[name] = value.detach()
    return _Traced(exported, placeholders, constants)


def _aliases(model: nn.Module) -> dict[str, str]:
    """Every name of a parameter or buffer → its first name: tied weights have several names and one value."""
    first: dict[int, str] = {}
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: first.setdefault(id(value), name) for name, value in named}


def _input(name: str, kind: Kind, value: Tensor) -> Input:
    if value.dtype not in DTYPES:
        raise InvalidInputError(
            f"The model's {name!r} is {value.dtype}; use float32 (.float()), int64 (.long()) or bool."
        )
    try:
        return Input(name=name, kind=kind, shape=tuple(value.shape), dtype=DTYPES[value.dtype])
    except ValidationError as error:
        raise InvalidInputError(f"The model's {name!r} does not fit ({describe_validation_error(error)}).") from error


def _program(traced: _Traced, inputs: Sequence[Input], names: Sequence[str], where: str) -> Program:
    return translate(traced.exported.graph, traced.placeholders, inputs, names, HANDLERS, where)
