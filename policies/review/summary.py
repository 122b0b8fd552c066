"""A study in one paragraph of plain words, put together from its terms and nothing else."""

from policies.budget.costs import request_epsilon
from policies.review.words import as_sentence, listed, right_of_hundred
from policies.terms import Terms


def summarise(terms: Terms, researcher: str, data_set_title: str) -> str:
    """Say who wants what, why, from whom, how it is protected and what leaves the site."""
    evaluation, others = terms.evaluation, len(terms.cohort) - 1
    figures = (*evaluation.metrics, *(f"the spread of its scores for «{it.name}»" for it in evaluation.histograms))
    measured = (
        f"How well the model does ({listed(figures)}) is measured {_times(len(evaluation.models))} on "
        f"people it was not trained on, and {'protected in the same way' if terms.privacy else 'not protected either'}."
        if evaluation.models
        else "How well the model does is not measured here."
    )
    return (
        f"{researcher} asks to train a model on «{data_set_title}», for: {as_sentence(terms.purpose)} Legal basis: "
        f"{as_sentence(terms.legal_basis)} Recipients: {as_sentence(terms.recipients)} Onward use: "
        f"{as_sentence(terms.onward_use)} The records stay here: this site computes "
        f"improvements of the model {_times(terms.training.rounds)}, and what leaves is a masked copy that opens "
        f"only as the sum over this site and {others} {'other' if others == 1 else 'others'}. "
        f"{_protection(terms)} {measured}"
    )


def _protection(terms: Terms) -> str:
    epsilon = request_epsilon(terms)
    if terms.privacy is None or epsilon is None:
        return (
            "NO NOISE IS ADDED: nothing limits what the model, or the sums on the way to it, can tell of single "
            "people, and a model made for that purpose can give back their records. What this data set promises its "
            "people excludes this study; it is bounded by your judgement alone."
        )
    right = right_of_hundred(epsilon, terms.privacy.delta)
    return (
        "What one person's records can change is limited, and random noise is added before anything leaves. Because of "
        "that, somebody who sees all results, even with the help of all other sites, and tries to tell from them "
        f"whether one given person is in the data is right in at most {right:g} of 100 such tries on average, where "
        "tossing a coin is right in 50. Each such study uses up part of what this data set can ever give."
    )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
