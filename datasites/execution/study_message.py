"""What a trainer is told of a study before there is data: the same on every machine that trains it."""

from collections.abc import Iterator
from itertools import chain

from datasites.execution.approval import required_files
from datasites.execution.trainer_messages import DataSize, Prepare
from datasites.requests.records import Request
from datasites.site import Site
from policies.manifest import Manifest
from policies.rules.training_rules import Gradients


def study_message(site: Site, request: Request, manifest: Manifest, gradients: Gradients) -> Prepare:
    """The message itself; its body are the `study_pieces`."""
    terms = request.terms
    _, tokeniser = required_files(site, request)
    tokens = terms.programs.tokens
    return Prepare(
        loss=request.loss_program,
        metrics=request.metrics_program,
        training=terms.training,
        evaluation=terms.evaluation,
        parameter_count=terms.programs.parameter_count,
        record=manifest.record_form(None if tokens is None else tokens.form),
        tokens=tokens,
        tokeniser_bytes=tokeniser.size,
        size=public_size(manifest),
        gradients=gradients,
    )


def study_bytes(site: Site, request: Request) -> int:
    """How many bytes the `study_pieces` are."""
    return sum(it.size for it in required_files(site, request))


def study_pieces(site: Site, request: Request) -> Iterator[bytes]:
    """The parameter file and the tokeniser."""
    return chain.from_iterable(it.pieces for it in required_files(site, request))


def public_size(manifest: Manifest) -> DataSize:
    """How large a data set is said to be."""
    return DataSize(
        nominal_training_units=manifest.training_units,
        nominal_holdout_units=manifest.holdout_units,
        maximum_records=manifest.privacy_unit.maximum_records,
    )
