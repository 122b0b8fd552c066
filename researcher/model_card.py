"""The card that travels with a model: what it is for, who allowed it, what protects people, how well it did."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from policies.budget.costs import request_epsilon
from policies.budget.distributed_noise import honest_epsilon
from policies.review.words import steps_in_words
from policies.statements.schema import Digest, PartyName, StrictModel, Text
from policies.terms import Terms
from researcher.approvals import Approval, day, told
from researcher.estimates import Estimate

MAXIMUM_CARD_BYTES = 8 << 20
_MARKUP = re.compile(r"([\\`*_\[\]<>|#&~])")


class Measurement(StrictModel):
    """Noised holdout figures of one global model, by the metric's or score's name; 0 is the initial model.

    An AUROC is None if there were too few units of a class to tell over the noise; a floor is what noise alone gives on
    average where the calibration error is 0.
    """

    model: Annotated[int, Field(ge=0, le=10_000)]
    means: dict[str, Estimate]
    aurocs: dict[str, Estimate | None]
    calibration_errors: dict[str, Estimate]
    calibration_floors: dict[str, Annotated[float, Field(ge=0)]]


class ModelCard(StrictModel):
    """All that the card's text is made from. Approvals are signed; the rest is the researcher's word.

    `sites` are the cohort's names in the order of the terms, `rounds` how many sums were opened, `model` the digest of
    the parameter file.
    """

    version: Literal["cloister-model-card/1"]
    terms: Terms
    sites: tuple[PartyName, ...]
    approvals: tuple[Approval, ...]
    rounds: Annotated[int, Field(ge=0)]
    stopped_early: Text | None
    measurements: tuple[Measurement, ...]
    model: Digest

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.sites) != len(self.terms.cohort):
            raise ValueError("sites must name each site of the cohort, in the order of the terms")
        return self

    def text(self) -> str:
        """The card in Markdown; nothing that people wrote is taken as markup."""
        sections = (self._what(), self._terms(), self._guarantee(), self._approvals(), self._metrics(), self._limits())
        return "\n".join(line for section in sections for line in (*section, "")).rstrip("\n") + "\n"

    def _what(self) -> Iterator[str]:
        terms = self.terms
        yield f"# {_plain(terms.title)}"
        yield ""
        yield (
            f"A model of {terms.programs.parameter_count} trained parameters, made at {len(self.sites)} sites by "
            f"{terms.training.strategy} in {min(self.rounds, terms.training.rounds)} of {terms.training.rounds} rounds "
            "of secure averaging: the records stayed where they were, and only sums over all sites were opened. "
            f"Local steps: {terms.training.local_steps} a round, by {steps_in_words(terms.training)}. "
            f"`model.safetensors` holds it; its digest is `{self.model}`."
        )
        if self.stopped_early is not None:
            yield ""
            yield _plain(self.stopped_early)

    def _terms(self) -> Iterator[str]:
        terms = self.terms
        yield "## What it may be used for"
        yield ""
        yield f"- **Purpose:** {_plain(terms.purpose)}"
        yield f"- **Legal basis:** {_plain(terms.legal_basis)}"
        yield f"- **Recipients:** {_plain(terms.recipients)}"
        yield f"- **Onward use:** {_plain(terms.onward_use)}"
        yield f"- **Researcher:** `{terms.researcher}`"
        yield f"- **Terms:** `{terms.digest()}`"

    def _guarantee(self) -> Iterator[str]:
        terms = self.terms
        worst, averaging = request_epsilon(terms), terms.secure_averaging
        yield "## What protects the people in the data"
        yield ""
        honest = self.terms.secure_averaging.honest
        yield f"| Site | Data set | Weight | If all others collude | If {honest} sites are honest |"
        yield "|---|---|---|---|---|"
        for name, member in zip(self.sites, terms.cohort, strict=True):
            figures = " | ".join(self._figure(it) for it in (worst, honest_epsilon(terms, member.site)))
            yield f"| {_plain(name)} | {member.data_set} | {member.weight} | {figures} |"
        yield ""
        if terms.privacy is None:
            yield (
                "**No guarantee:** no noise was added. Nothing bounds what the model or its metrics tell of single "
                "people."
            )
            return
        yield (
            "Differential privacy of each unit (such as a patient) of each site, against everybody outside that site. "
            f"The terms promise ε={terms.privacy.epsilon:g}, and that is what budgets were charged: each site adds all "
            "of that noise itself. Where the last column says less, it counts the noise of other honest sites too. "
            f"Nobody sees one site's share while at most {averaging.colluders} sites collude."
        )

    def _figure(self, epsilon: float | None) -> str:
        privacy = self.terms.privacy
        return "no guarantee" if privacy is None or epsilon is None else f"ε={epsilon:.3g}, δ={privacy.delta:g}"

    def _approvals(self) -> Iterator[str]:
        names = {member.site: name for name, member in zip(self.sites, self.terms.cohort, strict=True)}
        yield "## Who approved it"
        yield ""
        if not self.approvals:
            yield "Nobody has yet."
            return
        yield "| Site | By | When | Until | Digest of the decision |"
        yield "|---|---|---|---|---|"
        for approval in map(told, self.approvals):
            name = _plain(names.get(approval.site, approval.site))
            dates = f"{day(approval.at)} | {day(approval.until)}"
            yield f"| {name} | {_plain(approval.by)} | {dates} | `{approval.digest}` |"

    def _metrics(self) -> Iterator[str]:
        evaluation = self.terms.evaluation
        yield "## How well it did"
        yield ""
        if not self.measurements:
            yield "It was not measured."
            return
        yield (
            "Measured on people it was not trained on, over all sites, noised "
            f"(noise multiplier {evaluation.noise_multiplier:g}): after ± stands the standard deviation of that noise, "
            "and the chance of who was measured adds to it."
            if self.terms.privacy
            else "Measured on people it was not trained on, over all sites; without noise."
        )
        scores = [it.name for it in evaluation.histograms]
        titles = (f"{figure} of {name}" for name in scores for figure in ("AUROC", "Calibration error"))
        heads = [_plain(title) for title in (*evaluation.metrics, *titles)]
        yield ""
        yield f"| Model after round | {' | '.join(heads)} |"
        yield f"|---|{'---|' * len(heads)}"
        for measured in self.measurements:
            figures = [measured.means.get(name) for name in evaluation.metrics]
            for name in scores:
                figures += [measured.aurocs.get(name), measured.calibration_errors.get(name)]
            shown = " | ".join("not measurable" if figure is None else str(figure) for figure in figures)
            yield f"| {measured.model} | {shown} |"
        floors = {name: floor for name, floor in self.measurements[-1].calibration_floors.items() if floor}
        if floors:
            of_scores = ", ".join(f"{floor:.3f} for {_plain(name)}" for name, floor in floors.items())
            yield ""
            yield f"By noise alone, a calibration error of the last row would be on average: {of_scores}."

    def _limits(self) -> Iterator[str]:
        yield "## Limits of use"
        yield ""
        yield "- Any use, recipient or hand-over that is not named above was approved by nobody; ask the owners first."
        yield "- It knows the people of the sites above only. How it does on others was not measured."
        if self.terms.privacy is None:
            yield "- A model made for that purpose can give back people's records: treat it as you would treat them."
        yield (
            "- Approvals can be checked with `researcher.check_model(folder, cards)`, given the sites' identity cards. "
            "Rounds, metrics and the parameters themselves are the researcher's word."
        )


def _plain(text: str) -> str:
    """On one line, with every character escaped that Markdown or HTML could take for its own."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
