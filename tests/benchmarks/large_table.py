"""A Parquet file several times larger than the memory it may take: registered, and trained from, with flat memory.

usage: python -m tests.benchmarks.large_table [--gibibytes 2] [--share 4]

Registering runs under RLIMIT_DATA of a share of the file's size, the decoder's process too. It prints the peak of
resident memory of the registering process and of the trainer, beside those of a file of a quarter the size. It fails if
they grow by more than a tenth of what the file grows by. Below a gibibyte the buffers for sorting are still filling.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from datasites.execution.trainer_messages import Prepare
from datasites.execution.trainer_process import TrainerProcess
from policies.manifest import parse_manifest
from policies.terms import Evaluation, Training
from researcher.export import export
from researcher.plan import TrainingPlan
from tests.plain_steps import PLAIN_STEPS
from tests.record_forms import data_size
from tests.system.waiting import children_of

_COLUMNS, _RECORDS, _GROUP = 100, 10, 2**15
_ROW_BYTES = 4 * _COLUMNS
_MOST_GROWTH = 0.1
_TRAINER_BYTES = 2 * 2**30
_REGISTER = """
import resource, sys
from pathlib import Path
from policies.manifest import parse_manifest
from datasites.catalog.keys import derive_catalog_keys
from tests.unit_arrays import freeze
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]), int(sys.argv[2])))
manifest = parse_manifest((folder / "manifest.toml").read_bytes())
_, path = freeze(folder / "table.parquet", manifest, derive_catalog_keys(bytes(32)), folder / "frozen")
# Not this process' own ru_maxrss, which counts what its parent took when it was started.
lines = Path("/proc/self/status").read_text().splitlines()
own = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
print(path, own)
"""
TRAINING = Training(
    strategy="fedavg",
    rounds=1,
    local_steps=20,
    retries=0,
    sampling_rate=1e-3,
    noise_multiplier=1.0,
    clipping_norm=1.0,
    learning_rate=0.1,
    **PLAIN_STEPS,
)


@dataclass(frozen=True)
class Peaks:
    """Resident memory in bytes at its peak, of a table of `rows`."""

    rows: int
    file: int
    snapshot: int
    registering: int
    training: int


class LinearPlan(TrainingPlan):
    """One linear layer over all columns."""

    def model(self) -> nn.Module:
        return nn.Linear(_COLUMNS - 1, 1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return (output.squeeze(-1) - target).square().mean()

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"near": ((output.squeeze(-1) - target).abs() < 1).float().mean()}


def manifest_of(units: int) -> str:
    """The manifest of a table of random numbers."""
    columns = "".join(
        f'[[columns]]\nname = "c{place}"\ntype = "number"\nminimum = 0.0\nmaximum = 1.0\n' for place in range(_COLUMNS)
    )
    return (
        'name = "large"\ntitle = "Large"\ndescription = "Random numbers."\ntarget = "c0"\n[privacy_unit]\n'
        f'column = "unit"\nmaximum_records = {_RECORDS}\nnominal_units = {units}\n[holdout]\nfraction = 0\n{columns}'
    )


def write_large(folder: Path, rows: int) -> None:
    """Write manifest and Parquet file, a row group at a time; a unit's records lie all over the file."""
    units = rows // _RECORDS
    (folder / "manifest.toml").write_text(manifest_of(units))
    names = ["unit", *(f"c{place}" for place in range(_COLUMNS))]
    schema = pa.schema([(name, pa.float32() if name != "unit" else pa.int64()) for name in names])
    generator = np.random.default_rng(1)
    with parquet.ParquetWriter(folder / "table.parquet", schema, compression="none") as writer:
        for start in range(0, rows, _GROUP):
            count = min(_GROUP, rows - start)
            cells = generator.random((_COLUMNS, count), np.float32)
            writer.write_table(pa.table([np.arange(start, start + count) % units, *cells], schema=schema))


def measure(rows: int, limit: int) -> Peaks:
    """Register a table of so many rows under `limit` bytes of data, and train one round from its snapshot."""
    with tempfile.TemporaryDirectory(prefix="large-") as name:
        folder = Path(name)
        write_large(folder, rows)
        done = subprocess.run(
            [sys.executable, "-c", _REGISTER, name, str(limit)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        path, registering = done.stdout.split()
        file, snapshot = ((folder / "table.parquet").stat().st_size, Path(path).stat().st_size)
        training = train(Path(path), rows // _RECORDS)
    return Peaks(rows, file, snapshot, int(registering) << 10, training)


def train(snapshot: Path, units: int) -> int:
    """Train a round in the real trainer; its peak of resident memory."""
    record = parse_manifest(manifest_of(units).encode()).record_form()
    exported = export(LinearPlan(), record)
    study = Prepare(
        loss=exported.loss.canonical().decode(),
        metrics=exported.metrics.canonical().decode(),
        training=TRAINING,
        evaluation=Evaluation(models=(), metrics=("near",), histograms=(), noise_multiplier=1.0),
        parameter_count=exported.parameter_count,
        record=record,
        size=data_size(units, 0, _RECORDS),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    )
    model = torch.zeros(exported.parameter_count).numpy().astype("<f4").tobytes()
    with TrainerProcess(memory_bytes=_TRAINER_BYTES, start_seconds=120) as trainer, snapshot.open("rb") as file:
        trainer.prepare(study, (exported.parameters,), len(exported.parameters), seconds=120)
        trainer.load(file.fileno(), None, seconds=600)
        for _ in trainer.round((model,), number=1, trains=True, evaluates=False, seconds=600).update:
            pass
        (process,) = children_of(os.getpid())
        status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))


def main() -> None:
    """Measure a small and a large table, print both, and fail if memory grows with the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gibibytes", type=float, default=2.0, help="size of the large file")
    parser.add_argument("--share", type=int, default=4, help="how many times larger than its memory the file is")
    options = parser.parse_args()
    rows = int(options.gibibytes * 2**30) // _ROW_BYTES
    limit = rows * _ROW_BYTES // options.share
    small, large = measure(rows // 4, limit), measure(rows, limit)
    table = Table("MB", "file", "snapshot", "registering", "training")
    for peaks in (small, large):
        sizes = (peaks.file, peaks.snapshot, peaks.registering, peaks.training)
        table.add_row(f"{peaks.rows} rows", *(f"{size / 1e6:.0f}" for size in sizes))
    Console().print(table)
    for kind in ("registering", "training"):
        if getattr(large, kind) - getattr(small, kind) > _MOST_GROWTH * (large.file - small.file):
            sys.exit(f"Memory grows with the file while {kind}.")


if __name__ == "__main__":
    main()
