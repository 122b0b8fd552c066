"""What a trainer is told of a study before it has data: its programs, its terms, and the sizes of the data set."""

from datasites.execution.trainer_messages import DataSize, Prepare
from datasites.requests.records import Request
from policies.manifest import Manifest
from policies.rules.training_rules import Gradients


def study_message(request: Request, manifest: Manifest, tokeniser_bytes: int, gradients: Gradients) -> Prepare:
    """The message that the parameter file and the tokeniser, of `tokeniser_bytes`, follow."""
    terms, tokens = request.terms, request.terms.programs.tokens
    return Prepare(
        loss=request.loss_program,
        metrics=request.metrics_program,
        training=terms.training,
        evaluation=terms.evaluation,
        parameter_count=terms.programs.parameter_count,
        record=manifest.record_form(None if tokens is None else tokens.form),
        tokens=tokens,
        tokeniser_bytes=tokeniser_bytes,
        size=data_size(manifest),
        gradients=gradients,
    )


def data_size(manifest: Manifest) -> DataSize:
    """The public numbers of a data set."""
    return DataSize(
        nominal_training_units=manifest.training_units,
        nominal_holdout_units=manifest.holdout_units,
        maximum_records=manifest.privacy_unit.maximum_records,
    )
