"""What a study gives: the model and its card, what each round showed, a plot, and the privacy that it cost."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from policies.budget.costs import request_epsilon
from policies.terms import Terms
from researcher.approvals import Approval
from researcher.model_card import Measurement, ModelCard
from researcher.plan import TrainingPlan
from researcher.saved_model import model_digest, model_file, write_model


@dataclass(frozen=True)
class RoundRecord:
    """What round `round` showed: noised holdout means of model `round` − 1 (None if not measured), and its seconds."""

    round: int
    metrics: Mapping[str, float] | None
    site_seconds: float
    sum_seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for the state file."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Back from the state file."""
        return cls(entry["round"], entry["metrics"], entry["site_seconds"], entry["sum_seconds"])


@dataclass(frozen=True)
class Result:
    """A study's outcome so far; `parameters` has every tensor of the newest global model by name.

    `sites` are the cohort's names in the order of the terms, `approvals` the decisions that were received.
    """

    terms: Terms
    plan: TrainingPlan = field(repr=False)
    sites: tuple[str, ...]
    history: tuple[RoundRecord, ...]
    parameters: Mapping[str, Tensor] = field(repr=False)
    approvals: tuple[Approval, ...] = field(repr=False)

    @property
    def model(self) -> nn.Module:
        """The plan's model holding the newest global parameters, in evaluation mode."""
        model = self.plan.model()
        known = model.state_dict()
        model.load_state_dict({name: value for name, value in self.parameters.items() if name in known}, strict=False)
        return model.eval()

    @property
    def metrics(self) -> dict[int, Mapping[str, float]]:
        """Noised holdout means by the number of the global model (0 is the initial one)."""
        return {record.round - 1: record.metrics for record in self.history if record.metrics is not None}

    def privacy_report(self) -> str:
        """What was promised to each person, and from which public numbers it follows."""
        training, evaluation, privacy = self.terms.training, self.terms.evaluation, self.terms.privacy
        epsilon = request_epsilon(self.terms)
        if privacy is None or epsilon is None:
            return (
                "No privacy guarantee: no noise was added, and nothing bounds what the model or its metrics tell of "
                "single people. Hand it on only as its owners allow."
            )
        return (
            f"Each unit of each site: ({epsilon:.3f}, {privacy.delta:g})-differentially private "
            f"(promised ε={privacy.epsilon:g}), against everybody outside that site, even if all others collude.\n"
            f"Training: {training.rounds} rounds and {training.retries} in reserve × {training.local_steps} steps, "
            f"sampling rate {training.sampling_rate:g}, noise multiplier {training.noise_multiplier:.4f}, "
            f"clipping norm {training.clipping_norm:g}.\n"
            f"Evaluation: {len(evaluation.models)} measurements on holdout units and {training.retries} in reserve, "
            f"noise multiplier {evaluation.noise_multiplier:.4f}; training and holdout units are different people, so "
            "the larger of the two counts."
        )

    def card(self) -> str:
        """The model's card in Markdown: what it may be used for, who approved it, what protects people."""
        return self._card(model_file(self.parameters)).text()

    def save(self, folder: Path | str) -> Path:
        """Write the model into `folder` as safetensors, with its card; whoever gets it calls `check_model` on it."""
        target, file = Path(folder).expanduser(), model_file(self.parameters)
        write_model(target, file, self._card(file))
        return target

    def _card(self, file: bytes) -> ModelCard:
        return ModelCard(
            version="cloister-model-card/1",
            terms=self.terms,
            sites=self.sites,
            approvals=self.approvals,
            rounds=len(self.history),
            measurements=tuple(Measurement(model=it, means=dict(means)) for it, means in self.metrics.items()),
            model=model_digest(file),
        )

    def plot(self, path: Path | str) -> Path:
        """Draw the noised holdout metrics against the number of the global model, as a PNG at `path`."""
        from matplotlib.figure import Figure  # takes longer to import than all else here

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        for name in self.terms.evaluation.metrics:
            axes.plot(list(self.metrics), [shown[name] for shown in self.metrics.values()], marker="o", label=name)
        axes.set(xlabel="global model (round)", ylabel="mean on holdout units, noised", ylim=(0, 1.02))
        axes.set_title(self.terms.title)
        axes.legend()
        target = Path(path)
        figure.savefig(target, format="png", dpi=150)
        return target
