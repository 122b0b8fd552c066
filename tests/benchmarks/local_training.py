"""What a round's local training costs by itself: the trainer's own function, at three sites' concurrency.

usage of one site's process: python -m tests.benchmarks.local_training PARAMETERS REPEATS    (trains at each line)
"""

import subprocess
import sys
import time

import torch

from datasites.execution.trainer_messages import Prepare
from datasites.training.data import UnitData
from datasites.training.study import prepare_study
from datasites.training.trainer import local_training
from policies.budget.calibrate import calibrate_noise_multiplier
from policies.terms import Evaluation, Training
from researcher.export import export
from tests.benchmarks.plan import FEATURES, WidePlan
from tests.benchmarks.scene import SMALLEST_SAMPLING_RATE, UNITS, ask
from tests.demo.commands import environment
from tests.plain_steps import PLAIN_STEPS
from tests.record_forms import columns, data_size

_MEMORY_BYTES = 2 << 30


def at_three_sites(parameters: int, repeats: int, sites: int = 3) -> list[float]:
    """Seconds of each repeat until the last of `sites` processes, which begin together, has trained once."""
    command = [sys.executable, "-m", "tests.benchmarks.local_training", str(parameters), str(repeats)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
        for _ in range(sites)
    ]
    seconds = []
    try:
        for process in processes:
            _line(process)
        for _ in range(repeats):
            began = time.monotonic()
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            for process in processes:
                _line(process)
            seconds.append(time.monotonic() - began)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return seconds


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a process that trains by itself ended"
    return line


def main(parameters: int, repeats: int) -> None:
    """Be one site: prepare everything, and train whenever a line comes."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    exported = export(WidePlan(parameters), columns(FEATURES, "float32"))
    asked = ask(repeats)
    training = Training(
        strategy="fedavg",
        rounds=repeats,
        local_steps=asked.local_steps,
        retries=asked.retries,
        sampling_rate=SMALLEST_SAMPLING_RATE,
        noise_multiplier=calibrate_noise_multiplier(
            asked.privacy.epsilon, asked.privacy.delta, SMALLEST_SAMPLING_RATE, repeats * asked.local_steps
        ),
        clipping_norm=asked.clipping_norm,
        learning_rate=asked.learning_rate,
        **PLAIN_STEPS,
    )
    message = Prepare(
        loss=exported.loss.canonical().decode(),
        metrics=exported.metrics.canonical().decode(),
        training=training,
        evaluation=Evaluation(models=(), metrics=exported.measured.metrics, histograms=(), noise_multiplier=1.0),
        parameter_count=exported.parameter_count,
        record=columns(FEATURES, "float32"),
        size=data_size(UNITS, 0),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    )
    study = prepare_study(message, exported.parameters, _MEMORY_BYTES, 0)
    units = UnitData((torch.rand(UNITS, 1, FEATURES), torch.rand(UNITS, 1)), torch.ones(UNITS, 1, dtype=torch.bool))
    model = torch.zeros(exported.parameter_count)
    local_training(study.loss, model, units, training, UNITS, 1)
    print("ready", flush=True)
    for _ in sys.stdin:
        local_training(study.loss, model, units, training, UNITS, 1)
        print("done", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
