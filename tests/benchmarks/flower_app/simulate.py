"""Flower's simulation over Ray's workers, plain FedAvg: `python simulate.py STAMPS PARAMETERS ROUNDS`."""

import sys

import plain_client
import plain_server
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """The plain server, with the settings of the command line."""
    stamps, parameters, rounds = sys.argv[1:]
    context.run_config = {"stamps": stamps, "parameters": int(parameters), "rounds": int(rounds)}
    plain_server.main(grid, context)


if __name__ == "__main__":
    run_simulation(
        app, plain_client.app, num_supernodes=3, backend_config={"client_resources": {"num_cpus": 0.5, "num_gpus": 0.0}}
    )
