"""A study in one paragraph of plain words, put together from its terms and nothing else."""

from policies.review.words import as_sentence, guesses_of_hundred, listed
from policies.terms import Terms


def summarise(terms: Terms, researcher: str, data_set_title: str) -> str:
    """Say who wants what, why, from whom, how it is protected and what leaves the site."""
    evaluation, others = terms.evaluation, len(terms.cohort) - 1
    measured = (
        f"How well the model does ({listed(evaluation.metrics)}) is measured {_times(len(evaluation.models))} on people "
        "it was not trained on, and protected in the same way."
        if evaluation.models
        else "How well the model does is not measured here."
    )
    right = guesses_of_hundred(terms.privacy.epsilon, terms.privacy.delta)
    return (
        f"{researcher} asks to train a model on «{data_set_title}», for: {as_sentence(terms.purpose)} Recipients: "
        f"{as_sentence(terms.recipients)} Onward use: {as_sentence(terms.onward_use)} The records stay here: this site "
        f"computes improvements of the model {_times(terms.training.rounds)}, and what leaves is a masked copy that opens "
        f"only as the sum over this site and {others} {'other' if others == 1 else 'others'}. What one person's records "
        "can change is limited, and random noise is added before anything leaves. Because of that, somebody who sees all "
        "results, even with all other sites' help, and tries to tell from them whether one given person is in the data is "
        f"right in at most {right} of 100 such tries, where a toss of a coin is right in 50. Each such study uses up part "
        f"of what this data set can ever give. {measured}"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
