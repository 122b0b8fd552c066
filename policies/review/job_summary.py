"""A job in one paragraph of plain words, put together from its terms and nothing else."""

from policies.jobs.decision import Release
from policies.jobs.terms import JobTerms


def summarise_job(terms: JobTerms, researcher: str, release: Release) -> str:
    """Say who wants to run what, why, on which data, within which limits, and what becomes of the outputs."""
    data = ", ".join(f"«{name}»" for name in terms.data_sets) or "no data set"
    limits = terms.limits
    leaves = (
        "What it writes leaves at once if the inspection finds nothing to hold, else it waits for your word."
        if release == "clean"
        else "What it writes waits until you have looked at it and released it."
    )
    return (
        f"{researcher} asks to run {len(terms.code)} {'file' if len(terms.code) == 1 else 'files'} of Python once on "
        f"{data}, for: {_sentence(terms.purpose)} Recipients: {_sentence(terms.recipients)} Onward use: "
        f"{_sentence(terms.onward_use)} It runs shut off from the network, other files and other programs, for at most "
        f"{limits.wall_seconds} seconds, with at most {limits.memory_mib} MiB of memory and {limits.disk_mib} MiB "
        f"written. {leaves} Nothing of this is covered by differential privacy: what is released, and what people do "
        "with it, is bounded by your judgement alone."
    )


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".") + "."
