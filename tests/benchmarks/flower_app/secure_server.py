"""Flower's server under SecAgg+; the time after each round goes to the file of the run's configuration.

All three sites hold shares and two open them: the fewest messages that three clients allow. Weights are all 1.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context
from flwr.common import ndarrays_to_parameters
from flwr.server import Grid, LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp import ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds."""
    settings = context.run_config
    stamps = Path(str(settings["stamps"]))

    def stamp(number: int, _parameters: Any, _config: Any) -> None:
        with stamps.open("a") as file:
            file.write(f"{number} {time.time()}\n")

    strategy = FedAvg(
        fraction_evaluate=0.0,
        min_fit_clients=3,
        min_available_clients=3,
        initial_parameters=ndarrays_to_parameters([np.zeros(int(settings["parameters"]), np.float32)]),
        evaluate_fn=stamp,
    )
    legacy = LegacyContext(context=context, config=ServerConfig(num_rounds=int(settings["rounds"])), strategy=strategy)
    secure = SecAggPlusWorkflow(num_shares=3, reconstruction_threshold=2, max_weight=1)
    DefaultWorkflow(fit_workflow=secure)(grid, legacy)
