"""Early stopping, on what was released already: it costs no privacy, and ends a study at every site."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from policies.errors import InvalidInputError
from policies.statements.schema import StrictModel, parse_model
from policies.terms import Terms
from researcher.round_record import RoundRecord


class EarlyStopping(StrictModel):
    """Stop once `patience` measurements in a row have not raised `figure` by more than `least_improvement`.

    `figure` is the name of a metric, or of a score, whose AUROC is then taken; the larger, the better. Noise alone
    raises it by about its `Estimate.noise`: ask for more than that.
    """

    figure: Annotated[str, Field(min_length=1, max_length=63)]
    patience: Annotated[int, Field(ge=1, le=10_000)]
    least_improvement: Annotated[float, Field(ge=0, le=1)]


def stored_rule(text: str | None) -> EarlyStopping | None:
    """The rule as the state file holds it."""
    if text is None:
        return None
    data = text.encode()
    return parse_model(EarlyStopping, data, maximum_bytes=len(data), what="The stored rule for early stopping")


def check_early_stopping(rule: EarlyStopping, terms: Terms) -> None:
    """Check that the rule can be followed in a study of these terms.

    Raises:
        InvalidInputError: the study does not measure the figure, or not often enough for the rule to end it.
    """
    evaluation = terms.evaluation
    figures = (*evaluation.metrics, *(it.name for it in evaluation.histograms))
    if rule.figure not in figures:
        raise InvalidInputError(
            f"The study measures {', '.join(figures)} and not {rule.figure!r}, on which it is to stop early."
        )
    before_the_end = [model for model in evaluation.models if model + 1 < terms.sums]
    if len(before_the_end) <= rule.patience:
        raise InvalidInputError(
            f"{len(before_the_end)} models are measured before the last round, and patience for {rule.patience} "
            "measurements never runs out; measure more models, or have less patience."
        )


def stopped_early(rule: EarlyStopping, terms: Terms, history: Sequence[RoundRecord]) -> str | None:
    """Whether patience has run out with rounds still left; then a sentence that says so."""
    best: tuple[float, RoundRecord] | None = None
    waited = 0
    for record in history:
        if record.metrics is None:
            continue
        found = record.figure(rule.figure)
        if found is not None and (best is None or found.value > best[0] + rule.least_improvement):
            best, waited = (found.value, record), 0
        else:
            waited += 1
        if waited >= rule.patience:
            return _sentence(rule, terms, record, best) if record.round < terms.sums else None
    return None


def _sentence(rule: EarlyStopping, terms: Terms, last: RoundRecord, best: tuple[float, RoundRecord] | None) -> str:
    reached = (
        "it was never told apart from the noise"
        if best is None
        else f"its best was {best[1].figure(rule.figure)}, of the model after round {best[1].round - 1}"
    )
    return (
        f"Stopped early after round {last.round} of {terms.sums}: {rule.figure} had not grown by more than "
        f"{rule.least_improvement:g} in {rule.patience} measurements; {reached}."
    )
