"""The training plan: what a researcher writes — a model, its loss and its metrics, in plain torch."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class TrainingPlan(ABC):
    """A model with its loss and metrics, written for a batch as usual; sites run it one record at a time.

    Subclass it in a notebook or a file. `researcher.export.export` turns it into tensor programs; its Python stays on
    the researcher's machine, and its source goes along for the people who review the study.
    """

    @abstractmethod
    def model(self) -> nn.Module:
        """A new model from features [B, d] (float32, scaled to [-1, 1] by the manifest) to the output that loss takes.

        Its weights are the study's initial parameters; parameters without `requires_grad` stay as they are. Seed
        torch here if the initial model shall be reproducible.
        """

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar: the mean or the sum over the batch of a loss of each record.

        `target` is [B]: float32 numbers, or int64 category indices where the manifest's target is a category.
        """

    @abstractmethod
    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Named metrics, each in [0, 1] and the mean over the batch of a value of each record (or these values, [B]).

        Sites average them over their holdout units under noise; values outside [0, 1] would be clipped there.
        """
