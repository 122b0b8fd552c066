"""Run as a script: every operation under vmap and grad, and every optimiser, after the lockdown; prints what failed."""

import sys

import torch
from torch.func import grad, vmap

from datasites.sandbox.lockdown import lock_down
from datasites.tensor_programs.operations import OPERATIONS
from datasites.training.optimizer import SecretNoiseOptimizer, TrainedParameter
from datasites.training.randomness import SecretStream
from datasites.training.rehearsal import rehearse
from policies.training_choices import Adam, AdamW, Optimizer, Sgd
from tests.attacks.crafted_study import training
from tests.operation_examples import result

OPTIMIZERS = (
    Sgd(momentum=0.0),
    Sgd(momentum=0.9),
    Adam(decays=(0.9, 0.99), epsilon=1e-8),
    AdamW(decays=(0.9, 0.99), epsilon=1e-8, weight_decay=0.1),
)


def take_steps(optimizer: Optimizer) -> None:
    """Two, so that there is a state when the second is taken."""
    parameter = TrainedParameter(torch.zeros(3))
    steps = SecretNoiseOptimizer([parameter], training(optimizer=optimizer), 1.0, SecretStream()).original_optimizer
    for _ in range(2):
        parameter.grad = torch.ones(3)
        steps.step()


def main() -> None:
    """Lock down, then try every operation and every optimiser."""
    torch.set_num_threads(1)
    rehearse()
    lock_down(4 * 2**30)
    failed = 0
    for name in OPERATIONS:
        try:
            vmap(grad(lambda x, name=name: result(name, x)))(torch.linspace(-2, 2, 12).reshape(3, 4))
        except (RuntimeError, ImportError, OSError, ValueError, TypeError, IndexError) as error:
            failed += 1
            print(name, repr(error)[:300])
    for optimizer in OPTIMIZERS:
        try:
            take_steps(optimizer)
        except (RuntimeError, ImportError, OSError) as error:
            failed += 1
            print(optimizer.type, repr(error)[:300])
    print("tried", len(OPERATIONS) + len(OPTIMIZERS), "failed", failed)
    sys.stdout.flush()


main()
