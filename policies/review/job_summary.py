"""A job in one paragraph of plain words, put together from its terms and nothing else."""

from policies.jobs.decision import Release
from policies.jobs.terms import JobTerms
from policies.review.words import as_sentence, listed


def summarise_job(terms: JobTerms, researcher: str, release: Release) -> str:
    """Say who wants to run what, why, on which data, within which limits, and what becomes of the outputs."""
    data = listed(tuple(f"«{name}»" for name in terms.data_sets)) or "no data set"
    leaves = (
        "What it writes leaves at once if the automatic inspection finds nothing to hold, else it waits for your word."
        if release == "clean"
        else "Nothing that it writes leaves before you have looked at it and released it."
    )
    return (
        f"{researcher} asks to run {len(terms.code)} {'file' if len(terms.code) == 1 else 'files'} of Python once on "
        f"{data}, for: {as_sentence(terms.purpose)} Legal basis: {as_sentence(terms.legal_basis)} Recipients: "
        f"{as_sentence(terms.recipients)} Onward use: {as_sentence(terms.onward_use)} The program "
        "sees every row of these data. It runs here, cut off from the network, from all other files and from other "
        f"programs, for at most {_time(terms.limits.wall_seconds)}. {leaves} No noise "
        "protects the people in the data: what is released, and what others do with it, is bounded by your judgement "
        "alone."
    )


def _time(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes" if seconds < 7200 else f"{-(-seconds // 3600)} hours"
