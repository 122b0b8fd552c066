"""Flower's server of the benchmark: plain FedAvg; the time after each round goes to a file.

`fraction_evaluate=0` spares it the second exchange of each round, which its default would make.
"""

import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds."""
    settings = context.run_config
    stamps = Path(str(settings["stamps"]))
    initial = ArrayRecord([np.zeros(int(settings["parameters"]), np.float32)])

    def stamp(number: int, _arrays: ArrayRecord) -> None:
        with stamps.open("a") as file:
            file.write(f"{number} {time.time()}\n")

    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=3, min_available_nodes=3)
    strategy.start(grid, initial, num_rounds=int(settings["rounds"]), evaluate_fn=stamp)
