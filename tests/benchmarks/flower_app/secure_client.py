"""Flower's client under SecAgg+ (which exists for its older interface only): gives the model back as it came."""

from typing import Any

from flwr.app import Context
from flwr.client import Client, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp


class Echo(NumPyClient):
    """Trains nothing."""

    def fit(self, parameters: Any, config: Any) -> Any:
        """The parameters, the weight 1 and no metrics."""
        return parameters, 1, {}


def _client(_context: Context) -> Client:
    return Echo().to_client()


app = ClientApp(client_fn=_client, mods=[secaggplus_mod])
