"""The optimiser and schedule of studies in which tests look at something else: plain descent at one learning rate."""

from typing import Any

from policies.training_choices import Schedule, Sgd

SGD = Sgd(momentum=0.0)
CONSTANT = Schedule(type="constant", warm_up_steps=0)
PLAIN_STEPS: dict[str, Any] = {"optimizer": SGD, "schedule": CONSTANT}
PLAIN_STEPS_AS_JSON = {name: value.model_dump(mode="json") for name, value in PLAIN_STEPS.items()}
