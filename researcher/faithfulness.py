"""Whether the programs compute what the plan computes: compared on random records before anything is submitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.load import flatten, load_parameters
from policies.errors import InvalidInputError
from policies.programs.format import Draw, Program, parse_program
from policies.record_form import RecordForm, TensorForm
from researcher.given_numbers import GivenNumbers, Source, in_order, steady
from researcher.measured import MeasuredNames, measured_values
from researcher.plan import TrainingPlan
from researcher.source_lines import line_of_function
from researcher.tracing import evaluating

_RECORDS = 7
_RECORDS_OF_LARGE_MODELS = 3
_LARGE = 1_000_000
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Sample:
    """n random records: features and targets [n, *shape], float32 in [-1, 1], or int64 from 0 on.

    Of several targets the categories are whole numbers from 0 on, all of them float32.
    """

    features: Tensor
    targets: Tensor


def draw_sample(model: nn.Module, record: RecordForm) -> Sample:
    """Draw records of the declared form; the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    large = sum(value.numel() for value in model.parameters()) > _LARGE
    count = _RECORDS_OF_LARGE_MODELS if large else _RECORDS
    features = _draw(record.features, count, generator)
    target = record.target
    if target.dtype == "int64" and target.choices is None:
        with torch.no_grad():
            output = model(features)
        wide = isinstance(output, Tensor) and output.ndim == 2 and output.shape[1] > 1
        target = target.model_copy(update={"choices": output.shape[1] if wide else 2})
    return Sample(features, _draw(target, count, generator))


def _draw(form: TensorForm, count: int, generator: torch.Generator) -> Tensor:
    if isinstance(form.choices, tuple):
        return torch.stack([_numbers((count,), it, generator).float() for it in form.choices], 1)
    return _numbers((count, *form.shape), form.choices, generator)


def _numbers(shape: tuple[int, ...], choices: int | None, generator: torch.Generator) -> Tensor:
    if choices is None:
        return torch.rand(shape, generator=generator) * 2 - 1
    drawn = torch.randint(choices, shape, generator=generator)
    drawn[-1] = choices - 1
    return drawn


def check_faithful(
    plan: TrainingPlan,
    model: nn.Module,
    sample: Sample,
    loss: Program,
    metrics: Program,
    measured: MeasuredNames,
    parameters: bytes,
) -> None:
    """Compare the programs, as a site would parse and load them, with the plan itself, record by record and in a batch.

    Raises:
        InvalidInputError: a gradient or a result differs by more than 1e-5 of its size, is not finite, or the plan's
            batch is not the mean (or, for the loss, the sum) of its records.
    """
    loss, metrics = parse_program(loss.canonical()), parse_program(metrics.canonical())
    values = load_parameters(parameters, loss, maximum_bytes=len(parameters))
    _check_gradients(plan, model, sample, loss, values)
    _check_metrics(plan, model, sample, metrics, measured, values)


def _check_gradients(
    plan: TrainingPlan, model: nn.Module, sample: Sample, program: Program, values: dict[str, Tensor]
) -> None:
    count, draws = len(sample.targets), program.draws
    generator = torch.Generator().manual_seed(1)
    by_records = torch.zeros(program.parameter_count)
    largest = 0.0
    for index in range(count):
        record = sample.features[index : index + 1], sample.targets[index : index + 1]
        numbers = [_drawn(draw, generator) for draw in draws]
        got = _program_gradient(program, values, (*record, *numbers))
        expected = _plan_gradient(plan, model, record, program, in_order(draws, numbers))
        if not bool(torch.isfinite(expected).all()):
            raise InvalidInputError(
                f"The plan's loss{line_of_function(plan.loss)} has gradients that are not finite on random records; "
                "mend the loss."
            )
        if not _close(got, expected):
            raise InvalidInputError(
                f"The loss program's gradients differ from the plan's{line_of_function(plan.loss)}; something in the "
                "plan (state, randomness in Python) was lost in the export: write it with plain tensor operations."
            )
        # For the batch below random numbers must be the records' own, whichever dimension the batch is in.
        by_records += (
            _program_gradient(program, values, (*record, *[steady(it.op, it.shape) for it in draws])) if draws else got
        )
        largest = max(largest, float(expected.abs().max()))
    batch = _plan_gradient(plan, model, (sample.features, sample.targets), program, steady)
    # Records' gradients may cancel in the batch's: what rounding leaves is measured by the largest of them.
    if not _close(by_records / count, batch, largest) and not _close(by_records, batch, count * largest):
        raise InvalidInputError(
            f"The plan's loss of a batch is neither the mean nor the sum of its records' losses"
            f"{line_of_function(plan.loss)}, and sites compute it record by record; check that output and target have "
            "one shape, and that neither model nor loss compares or averages over the records of a batch."
        )


def _check_metrics(
    plan: TrainingPlan,
    model: nn.Module,
    sample: Sample,
    program: Program,
    measured: MeasuredNames,
    values: dict[str, Tensor],
) -> None:
    run = interpret(program)
    results = vmap(lambda feature, target: run(values, feature, target))(sample.features, sample.targets)
    with torch.no_grad(), evaluating(model):
        batch = measured_values(plan.metrics, plan.scores, model(sample.features), sample.targets)
    for name, by_program in zip(program.output_names, results, strict=True):
        whole = batch[name].to(torch.float32)
        expected = by_program if whole.numel() == by_program.numel() else by_program.mean()
        if not _close(expected.reshape(-1), whole.reshape(-1)):
            raise InvalidInputError(
                f"The metric {name!r} of a batch{line_of_function(plan.metrics)} is not the mean of its records' "
                "values, and sites compute record by record; return a value of each record, or their mean."
            )
        if bool((by_program < 0).any() or (by_program > 1).any()):
            raise InvalidInputError(
                f"The metric {name!r} leaves [0, 1] on random records, and sites would clip it; scale it, for example "
                "with .clamp(0, 1)."
            )
        if name in measured.labels and not bool(((by_program == 0) | (by_program == 1)).all()):
            raise InvalidInputError(
                f"The result {name!r} is neither 0 nor 1 on random records; give each score a label such as "
                "(target == 2)."
            )


def _program_gradient(program: Program, values: dict[str, Tensor], record: Sequence[Tensor]) -> Tensor:
    """As a site computes it, of a batch of one record with the numbers drawn for it."""
    run = interpret(program)
    trained = {entry.name: values[entry.name] for entry in program.parameters}

    def loss(parameters: dict[str, Tensor], one: Sequence[Tensor]) -> Tensor:
        return run({**values, **parameters}, *one)[0]

    features, target, *numbers = record
    batched = [features, target, *[number.unsqueeze(0) for number in numbers]]
    got = vmap(grad(loss), in_dims=(None, 0))(trained, batched)
    return flatten({name: value[0] for name, value in got.items()}, program)


def _plan_gradient(
    plan: TrainingPlan, model: nn.Module, batch: tuple[Tensor, Tensor], program: Program, source: Source
) -> Tensor:
    features, targets = batch
    named = dict(model.named_parameters())
    names = [entry.name for entry in program.parameters]
    with GivenNumbers(source):
        loss = plan.loss(model(features), targets)
    if not loss.requires_grad:
        return torch.zeros(program.parameter_count)
    got = torch.autograd.grad(loss, [named[name] for name in names], allow_unused=True, materialize_grads=True)
    return flatten(dict(zip(names, got, strict=True)), program)


def _drawn(draw: Draw, generator: torch.Generator) -> Tensor:
    return (torch.randn if draw.op == "normal" else torch.rand)(draw.shape, generator=generator)


def _close(got: Tensor, expected: Tensor, largest: float = 1.0) -> bool:
    """Within the tolerance of the largest expected number, or of `largest`; false for what is not finite."""
    if got.shape != expected.shape:
        return False
    allowed = _TOLERANCE * max(1.0, largest, float(expected.abs().max()))
    return bool(((got - expected).abs() <= allowed).all())
