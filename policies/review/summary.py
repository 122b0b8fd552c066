"""A request in one paragraph of plain words, put together from the terms and nothing else."""

from policies.terms import Terms


def summarise(terms: Terms, researcher: str, data_set_title: str) -> str:
    """Say who wants what, why, from whom, how it is protected and what leaves the site."""
    training, evaluation = terms.training, terms.evaluation
    measured = (
        f"The model's {_listed(evaluation.metrics)} on holdout units is measured {len(evaluation.models)} times, "
        "noised and summed in the same way."
        if evaluation.models
        else "Nothing is measured on holdout units."
    )
    return (
        f"{researcher} asks to train a model of {terms.programs.parameter_count:,} parameters on «{data_set_title}», "
        f"for: {_sentence(terms.purpose)} Recipients: {_sentence(terms.recipients)} Onward use: "
        f"{_sentence(terms.onward_use)} In {training.rounds} rounds of {training.local_steps} steps each "
        f"(at most {training.retries} repeated if this site stops in the middle), every step "
        f"draws each person's records with probability {training.sampling_rate:g}, limits what one person can change, "
        f"and adds noise, so that the whole study is ({terms.privacy.epsilon:g}, "
        f"{terms.privacy.delta:g})-differentially private for each person here. What leaves is a masked update that "
        f"opens only as the sum over all "
        f"{len(terms.cohort)} sites; even all the others together would see no more of yours than that noise allows. "
        f"{measured}"
    )


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".") + "."


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + " and " + names[-1]
