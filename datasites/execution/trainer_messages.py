"""What the datasite and its trainer say to each other, as headers of frames; both sides parse them strictly."""

from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES, Frame
from policies.jobs.endings import Layers
from policies.programs.format import MAXIMUM_ELEMENTS
from policies.programs.tokeniser import MAXIMUM_TOKENISER_BYTES, Tokens
from policies.record_form import RecordForm
from policies.rules.training_rules import Gradients
from policies.statements.schema import Model, StrictModel, Text, parse_model
from policies.terms import MAXIMUM_COUNTS, Evaluation, Training

MAXIMUM_PROGRAM_VALUES_BYTES = MAXIMUM_ELEMENTS * (4 + 8) + 2**24
"""The parameter file of the largest program: float32 parameters, constants of up to 8 bytes an element, the names."""

MAXIMUM_CACHE_BYTES = 64 * 2**30
"""Most that one trainer may keep on disk of what it computes once for each record."""

Units = Annotated[int, Field(ge=0, le=100_000_000)]
CacheBytes = Annotated[int, Field(ge=0, le=MAXIMUM_CACHE_BYTES)]


class DataSize(StrictModel):
    """A data set's public size: the manifest's numbers of units, and the most records of one unit."""

    nominal_training_units: Units
    nominal_holdout_units: Units
    maximum_records: Annotated[int, Field(ge=1, le=1000)]

    def share(self, workers: int) -> "DataSize":
        """What each of so many workers has, rounded up."""
        training, holdout = (ceil(it / workers) for it in (self.nominal_training_units, self.nominal_holdout_units))
        return self.model_copy(update={"nominal_training_units": training, "nominal_holdout_units": holdout})


class Prepare(StrictModel):
    """The study, before any data: body = the parameter file, then a tokeniser. Answered by `Prepared`.

    `tokens` is what the terms say of the tokeniser, of `tokeniser_bytes`; a study on anything but texts has none.
    """

    type: Literal["prepare"] = "prepare"
    loss: str
    metrics: str
    training: Training
    evaluation: Evaluation
    parameter_count: Annotated[int, Field(ge=1, le=MAXIMUM_ELEMENTS)]
    record: RecordForm
    tokens: Tokens | None
    tokeniser_bytes: Annotated[int, Field(ge=0, le=MAXIMUM_TOKENISER_BYTES)]
    size: DataSize
    gradients: Gradients


class Load(StrictModel):
    """The data: open descriptors that come through the door. Answered by `Loaded`.

    They are the snapshot, to be read, and if the trainer wanted one, an empty file without a name, for its cache.
    """

    type: Literal["load"] = "load"


class Round(StrictModel):
    """Round `number` (from 1): body = the global model, float32 [P], little-endian and nothing else. Answered by
    `Result`."""

    type: Literal["round"] = "round"
    number: Annotated[int, Field(ge=1, le=10_001)]
    trains: bool
    evaluates: bool


class Ready(StrictModel):
    """The trainer is locked down by these layers, or why it cannot be."""

    type: Literal["ready"] = "ready"
    layers: Layers
    refusal: Text | None


class Prepared(StrictModel):
    """The study can be trained, or why not: no data had been handed over yet, so the reason may be told.

    `cache_bytes` is the size of the file that the trainer wants for its cache, a public number; 0 if it wants none.
    """

    type: Literal["prepared"] = "prepared"
    refusal: Text | None
    cache_bytes: CacheBytes


class Loaded(StrictModel):
    """The data is in place."""

    type: Literal["loaded"] = "loaded"


class Result(StrictModel):
    """A round's result: body = `metrics` numbers, then `update` numbers, all float64, little-endian."""

    type: Literal["result"] = "result"
    metrics: Annotated[int, Field(ge=0, le=MAXIMUM_COUNTS)]
    update: Annotated[int, Field(ge=0, le=MAXIMUM_ELEMENTS)]


def message_frame(message: StrictModel, body: bytes = b"") -> Frame:
    """The frame that carries `message`."""
    return Frame(message.canonical(), body)


def parse_message(model: type[Model], frame: Frame) -> Model:
    """The header of `frame` as the one message that is due.

    Raises:
        InvalidInputError: it is another message, or not well formed.
    """
    return parse_model(model, frame.header, maximum_bytes=MAXIMUM_HEADER_BYTES, what="The trainer's message")
