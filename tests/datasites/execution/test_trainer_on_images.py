"""A convolutional network learns digits in the real, locked-down trainer, under differential privacy."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from datasites.execution.trainer_messages import Prepare
from datasites.execution.trainer_process import TrainerProcess
from policies.budget.renyi import GaussianMechanism, epsilon
from policies.record_form import RecordForm, TensorForm
from policies.terms import Evaluation, Training
from researcher.export import export
from tests.plain_steps import PLAIN_STEPS
from tests.record_forms import data_size
from tests.researcher.convolution_plans import Classification, LeNet
from tests.unit_arrays import UnitArrays, opened

TRAINED = 1400
TRAINING = Training(
    strategy="fedavg",
    rounds=2,
    local_steps=50,
    retries=0,
    sampling_rate=0.2,
    noise_multiplier=2.0,
    clipping_norm=1.0,
    learning_rate=2.5,
    **PLAIN_STEPS,
)
DELTA = 1e-4


RECORD = RecordForm(
    features=TensorForm(shape=(1, 8, 8), dtype="float32", choices=None),
    target=TensorForm(shape=(), dtype="int64", choices=10),
)


class ImageNet(LeNet):
    """Takes images from −1 to 1, as the trainer reads them."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(8 * (features + 1))


class ImagePlan(Classification):
    """For scikit-learn's digits as images of one channel."""

    def model(self) -> nn.Module:
        torch.manual_seed(1)
        return ImageNet()


def digits(rows: slice) -> UnitArrays:
    """Each image is the one record of its unit, kept as a snapshot keeps it: uint8."""
    images, labels = load_digits(return_X_y=True)
    features = (15 * images[rows]).astype(np.uint8).reshape(-1, 1, 1, 8, 8)
    target = labels[rows, None].astype(np.int64)
    return UnitArrays(features, target, np.ones(target.shape, bool))


def test_a_convolutional_network_learns_digits_with_a_modest_epsilon(tmp_path: Path) -> None:
    """Guessing is right for 10 of 100. Of five such trainings the worst was right for 79; 60 leaves room for noise."""
    steps = TRAINING.rounds * TRAINING.local_steps
    spent, _ = epsilon([GaussianMechanism(TRAINING.noise_multiplier, TRAINING.sampling_rate, steps)], DELTA)
    assert spent < 5
    exported = export(ImagePlan(), RECORD)
    training, holdout = digits(slice(TRAINED)), digits(slice(TRAINED, None))
    study = Prepare(
        loss=exported.loss.canonical().decode(),
        metrics=exported.metrics.canonical().decode(),
        training=TRAINING,
        evaluation=Evaluation(models=(0, 2), metrics=("accuracy",), histograms=(), noise_multiplier=1.0),
        parameter_count=exported.parameter_count,
        record=RECORD,
        size=data_size(TRAINED, len(holdout.mask)),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    )
    named = dict(exported.model.named_parameters())
    model = np.concatenate([named[entry.name].detach().numpy().ravel() for entry in exported.loss.parameters])
    accuracies = []
    with (
        opened(tmp_path, training, holdout) as snapshot,
        TrainerProcess(memory_bytes=4 * 2**30, start_seconds=60) as trainer,
    ):
        trainer.prepare(study, (exported.parameters,), len(exported.parameters), seconds=60)
        trainer.load(snapshot, None, seconds=30)
        for number in range(TRAINING.rounds + 1):
            trains = number < TRAINING.rounds
            result = trainer.round(
                (model.astype("<f4").tobytes(),), number=number + 1, trains=trains, evaluates=True, seconds=120
            )
            assert result.metrics is not None
            accuracies.append(result.metrics[0] / result.metrics.sum())
            blocks = [block.copy() for block in result.update]
            if trains:
                model = model + np.concatenate(blocks)
    assert accuracies[0] < 0.25
    assert accuracies[-1] > 0.6
