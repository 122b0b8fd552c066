"""The training plan: what a researcher writes — a model, its loss and its metrics, in plain torch."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from researcher.tokeniser import TextTokens


class TrainingPlan(ABC):
    """A model with its loss and metrics, written for a batch as usual; sites run it one record at a time.

    Subclass it in a notebook or a file. `researcher.export.export` turns it into tensor programs; its Python stays on
    the researcher's machine, and its source goes along for the people who review the study.

    `trainable` says which parameters are trained, by patterns over their names as `model.named_parameters()` has them
    (`*` stands for anything, `?` for one character, `[ab]` for one of these): `("head.*", "*lora_*")`, all of them if
    it is not given. The others are frozen: they travel once, as constants, and so does what has no `requires_grad`.
    """

    trainable: tuple[str, ...] = ("*",)

    @abstractmethod
    def model(self) -> nn.Module:
        """A new model from features [B, …] to the output that loss and metrics take: a tensor, or several in a tuple.

        Features are columns [B, d] or images [B, c, h, w] (float32, scaled to [-1, 1] by the manifest), or tokens
        [B, length] (int64, padded at the end: the model makes its own mask). Its weights are the study's initial
        parameters. A part that is in eval mode stays in it, such as a pretrained body without its dropout; metrics see
        the whole model in eval mode. Seed torch here if the initial model shall be reproducible.
        """

    def tokeniser(self) -> TextTokens | None:
        """How texts become the features that the model takes, int64 tokens [B, length]; None for any other data."""
        return None

    @abstractmethod
    def loss(self, output: Any, target: Tensor) -> Tensor:
        """The loss, a scalar: the mean or the sum over the batch of a loss of each record.

        `target` is [B]: float32 numbers, or int64 category indices where the manifest's target is a category; of
        several targets [B, t]. What is drawn here or in the model (dropout, `torch.randn_like`) is drawn anew for each
        record and step.
        """

    @abstractmethod
    def metrics(self, output: Any, target: Tensor) -> dict[str, Tensor]:
        """Named metrics, each in [0, 1] and the mean over the batch of a value of each record (or these values, [B]).

        Sites average them over their holdout units under noise; values outside [0, 1] would be clipped there.
        """

    def scores(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Named scores for AUROC and calibration, none by default: each a score in [0, 1] and its label 0 or 1, [B].

        For several classes give one for each class that matters: its probability, and whether it is the true one.
        Sites count the scores of their holdout units in bins, apart by label, under noise; no single score leaves them.
        """
        return {}
