"""Whether the programs compute what the plan computes: compared on random records before anything is submitted."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.load import flatten, load_parameters
from policies.errors import InvalidInputError
from policies.programs.format import Program, parse_program
from policies.record_form import RecordForm, TensorForm
from researcher.plan import TrainingPlan

_RECORDS = 7
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Sample:
    """n random records: features and targets [n, *shape], float32 in [-1, 1], or int64 from 0 on."""

    features: Tensor
    targets: Tensor


def draw_sample(model: nn.Module, record: RecordForm) -> Sample:
    """Draw records of the declared form; the same ones each time, and without touching torch's own generator."""
    generator = torch.Generator().manual_seed(0)
    features = _draw(record.features, generator)
    target = record.target
    if target.dtype == "int64" and target.choices is None:
        with torch.no_grad():
            output = model(features)
        wide = isinstance(output, Tensor) and output.ndim == 2 and output.shape[1] > 1
        target = target.model_copy(update={"choices": output.shape[1] if wide else 2})
    return Sample(features, _draw(target, generator))


def _draw(form: TensorForm, generator: torch.Generator) -> Tensor:
    shape = (_RECORDS, *form.shape)
    if form.dtype == "float32":
        return torch.rand(shape, generator=generator) * 2 - 1
    choices = form.choices or 1
    drawn = torch.randint(choices, shape, generator=generator)
    drawn[-1] = choices - 1
    return drawn


def check_faithful(
    plan: TrainingPlan, model: nn.Module, sample: Sample, loss: Program, metrics: Program, parameters: bytes
) -> None:
    """Compare the programs, as a site would parse and load them, with the plan itself, record by record and in a batch.

    Raises:
        InvalidInputError: a gradient or a result differs by more than 1e-5 of its size, is not finite, or the plan's
            batch is not the mean (or, for the loss, the sum) of its records.
    """
    loss, metrics = parse_program(loss.canonical()), parse_program(metrics.canonical())
    values = load_parameters(parameters, loss, maximum_bytes=len(parameters))
    _check_gradients(plan, model, sample, loss, values)
    _check_metrics(plan, model, sample, metrics, values)


def _check_gradients(
    plan: TrainingPlan, model: nn.Module, sample: Sample, program: Program, values: dict[str, Tensor]
) -> None:
    model.train()
    run = interpret(program)
    trained = {entry.name: values[entry.name] for entry in program.parameters}
    constants = {name: value for name, value in values.items() if name not in trained}

    def one(parameters: dict[str, Tensor], feature: Tensor, target: Tensor) -> Tensor:
        return run({**parameters, **constants}, feature, target)[0]

    got = vmap(grad(one), in_dims=(None, 0, 0))(trained, sample.features, sample.targets)
    count = len(sample.targets)
    by_program = torch.stack([flatten({name: got[name][index] for name in got}, program) for index in range(count)])
    by_plan = torch.stack(
        [
            _gradient(plan, model, sample.features[index : index + 1], sample.targets[index : index + 1], program)
            for index in range(count)
        ]
    )
    if not bool(torch.isfinite(by_plan).all()):
        raise InvalidInputError("The plan's loss has gradients that are not finite on random records; mend the loss.")
    if not _close(by_program, by_plan):
        raise InvalidInputError(
            "The loss program's gradients differ from the plan's; something in the plan (no_grad, state, randomness) "
            "was lost in the export: write it with plain tensor operations and .detach()."
        )
    batch = _gradient(plan, model, sample.features, sample.targets, program)
    # Records' gradients may cancel in the batch's: what rounding leaves is measured by the largest of them.
    largest = float(by_plan.abs().max())
    if not _close(by_plan.mean(0), batch, largest) and not _close(by_plan.sum(0), batch, count * largest):
        raise InvalidInputError(
            "The plan's loss of a batch is neither the mean nor the sum of its records' losses, and sites compute it "
            "record by record; check that output and target have one shape, and that no record weighs on another."
        )


def _check_metrics(
    plan: TrainingPlan, model: nn.Module, sample: Sample, program: Program, values: dict[str, Tensor]
) -> None:
    model.eval()
    run = interpret(program)
    results = vmap(lambda feature, target: run(values, feature, target))(sample.features, sample.targets)
    with torch.no_grad():
        batch = plan.metrics(model(sample.features), sample.targets)
    model.train()
    for name, by_program in zip(program.output_names, results, strict=True):
        whole = batch[name].to(torch.float32)
        expected = by_program if whole.numel() == by_program.numel() else by_program.mean()
        if not _close(expected.reshape(-1), whole.reshape(-1)):
            raise InvalidInputError(
                f"The metric {name!r} of a batch is not the mean of its records' values, and sites compute record by "
                "record; return a value of each record, or their mean."
            )
        if bool((by_program < 0).any() or (by_program > 1).any()):
            raise InvalidInputError(
                f"The metric {name!r} leaves [0, 1] on random records, and sites would clip it; scale it, for example "
                "with .clamp(0, 1)."
            )


def _gradient(plan: TrainingPlan, model: nn.Module, features: Tensor, targets: Tensor, program: Program) -> Tensor:
    named = dict(model.named_parameters())
    names = [entry.name for entry in program.parameters]
    loss = plan.loss(model(features), targets)
    got = torch.autograd.grad(loss, [named[name] for name in names], allow_unused=True, materialize_grads=True)
    return flatten(dict(zip(names, got, strict=True)), program)


def _close(got: Tensor, expected: Tensor, largest: float = 1.0) -> bool:
    """Within the tolerance of the largest expected number, or of `largest`; false for what is not finite."""
    if got.shape != expected.shape:
        return False
    allowed = _TOLERANCE * max(1.0, largest, float(expected.abs().max()))
    return bool(((got - expected).abs() <= allowed).all())
