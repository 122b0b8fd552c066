"""What a study gives: the model and its card, what each round showed, a plot, and the privacy that it cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from policies.budget.costs import request_epsilon
from policies.budget.distributed_noise import honest_epsilon
from policies.terms import Terms
from researcher.approvals import Approval
from researcher.curves import ScoreCurve
from researcher.estimates import Estimate
from researcher.model_card import Measurement, ModelCard
from researcher.plan import TrainingPlan
from researcher.plots import draw_measurements
from researcher.round_record import RoundRecord
from researcher.saved_model import model_digest, model_file, write_model


@dataclass(frozen=True)
class Result:
    """A study's outcome so far; `parameters` has every tensor of the newest global model by name.

    `sites` are the cohort's names in the order of the terms, `approvals` the decisions that were received;
    `stopped_early` says why, if rounds were left out because nothing improved any more.
    """

    terms: Terms
    plan: TrainingPlan = field(repr=False)
    sites: tuple[str, ...]
    history: tuple[RoundRecord, ...]
    parameters: Mapping[str, Tensor] = field(repr=False)
    approvals: tuple[Approval, ...] = field(repr=False)
    stopped_early: str | None

    @property
    def model(self) -> nn.Module:
        """The plan's model holding the newest global parameters, in evaluation mode."""
        model = self.plan.model()
        known = model.state_dict()
        model.load_state_dict({name: value for name, value in self.parameters.items() if name in known}, strict=False)
        return model.eval()

    @property
    def metrics(self) -> dict[int, Mapping[str, Estimate]]:
        """Noised holdout means by the number of the global model (0 is the initial one)."""
        return {record.round - 1: record.metrics for record in self.history if record.metrics is not None}

    @property
    def curves(self) -> dict[int, Mapping[str, ScoreCurve]]:
        """Noised holdout histograms of the plan's scores by the number of the global model: AUROC and calibration."""
        return {record.round - 1: record.curves for record in self.history if record.curves is not None}

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
            f"{self._if_honest()}\n"
            f"Training: {training.rounds} rounds and {training.retries} in reserve × {training.local_steps} steps, "
            f"sampling rate {training.sampling_rate:g}, noise multiplier {training.noise_multiplier:.4f}, "
            f"clipping norm {training.clipping_norm:g}.\n"
            f"Evaluation: {len(evaluation.models)} measurements on holdout units and {training.retries} in reserve, "
            f"noise multiplier {evaluation.noise_multiplier:.4f}; training and holdout units are different people, so "
            "the larger of the two counts."
        )

    def _if_honest(self) -> str:
        averaging = self.terms.secure_averaging
        figures = (honest_epsilon(self.terms, member.site) for member in self.terms.cohort)
        shown = ", ".join(
            f"{name} {figure:.3f}" for name, figure in zip(self.sites, figures, strict=True) if figure is not None
        )
        honest = averaging.honest
        return f"The same ε if {honest} sites are honest, that one among them: {shown}."

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
            stopped_early=self.stopped_early,
            measurements=tuple(
                Measurement(
                    model=model,
                    means=dict(self.metrics[model]),
                    aurocs={name: curve.auroc for name, curve in curves.items()},
                    calibration_errors={name: curve.calibration_error for name, curve in curves.items()},
                    calibration_floors={name: curve.calibration_floor for name, curve in curves.items()},
                )
                for model, curves in self.curves.items()
            ),
            model=model_digest(file),
        )

    def plot(self, path: Path | str) -> Path:
        """Draw the noised holdout metrics and curves as a PNG at `path`."""
        target = Path(path)
        draw_measurements(target, self.terms.title, self.history)
        return target
