"""Flower's client of the benchmark: gives the model back as it came, so that a round is nothing but overhead."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, _context: Context) -> Message:
    """Answer with the arrays that were sent."""
    arrays = message.content["arrays"]
    assert isinstance(arrays, ArrayRecord)
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
    return Message(content=content, reply_to=message)
