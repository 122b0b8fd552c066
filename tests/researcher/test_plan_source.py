"""The reviewers' source: the plan's class and the researcher's own modules, from files and from notebook cells."""

import code
import linecache
from typing import Any

import pytest
from torch import nn

from policies.errors import InvalidInputError
from researcher.plan import TrainingPlan
from researcher.plan_source import plan_source
from tests.researcher.plans import LogisticRegression

CELL = '''
import torch
from torch import nn
from researcher.plan import TrainingPlan

secret_of_the_notebook = "token"

class Block(nn.Module):
    def forward(self, x):
        return x

class Marker(nn.Linear):
    pass

class Base(TrainingPlan):
    def loss(self, output, target):
        return output.mean()  # as in the cell

class Plan(Base):
    """From a cell."""

    def model(self):
        return nn.Sequential(Block(), Marker(2, 1))

    def metrics(self, output, target):
        return {}
'''


def in_a_cell(name: str, *, remembered: bool) -> Any:
    """Run CELL as IPython does: its lines are in linecache under a name that is no file."""
    if remembered:
        linecache.cache[name] = (len(CELL), None, CELL.splitlines(keepends=True), name)
    shell = code.InteractiveInterpreter({"__name__": "__main__"})
    shell.runsource(CELL, name, "exec")
    return shell.locals["Plan"]()


def test_classes_from_a_notebook_cell_are_found_without_the_rest_of_the_cell() -> None:
    plan = in_a_cell("<cell 1>", remembered=True)
    source = plan_source(plan, plan.model())
    assert [line for line in source.splitlines() if line.startswith("class")] == [
        "class Marker(Linear):",
        "class Block(nn.Module):",
        "class Base(TrainingPlan):",
        "class Plan(Base):",
    ]
    assert "# as in the cell" in source
    assert "token" not in source
    assert source.startswith(
        "from researcher.plan import TrainingPlan\nfrom torch.nn.modules.linear import Linear\nimport torch.nn as nn\n"
    )


def test_a_class_without_source_is_refused_with_its_remedy() -> None:
    plan = in_a_cell("<typed>", remembered=False)
    with pytest.raises(InvalidInputError, match=r"Block cannot be read.*cell or a file"):
        plan_source(plan, plan.model())


def test_the_same_class_appears_once_and_libraries_never() -> None:
    class Plan(TrainingPlan):
        """Indented in a function."""

        def model(self) -> nn.Module:
            return nn.Sequential(nn.Linear(1, 1), nn.TransformerEncoderLayer(8, 2))

        def loss(self, output: Any, target: Any) -> Any:
            return output

        def metrics(self, output: Any, target: Any) -> Any:
            return output

    source = plan_source(Plan(), Plan().model())
    assert 'class Plan(TrainingPlan):\n    """Indented' in source
    assert source.count("class ") == 1


class Short(LogisticRegression):
    trainable = ("weight",)
    width = 3


def test_a_class_without_methods_is_shown_with_what_it_sets() -> None:
    source = plan_source(Short(), Short().model())
    assert source.endswith("class Short(LogisticRegression):\n    trainable = ('weight',)\n    width = 3\n")
    Short.width = print  # type: ignore[assignment]
    with pytest.raises(InvalidInputError, match="The source of class Short cannot be read"):
        plan_source(Short(), Short().model())


@pytest.mark.parametrize("name", ["trainable", "model", "loss", "metrics", "scores", "tokeniser"])
def test_what_is_set_on_a_plan_and_stands_in_no_source_is_refused(name: str) -> None:
    plan = LogisticRegression()
    plan.rate = 0.5  # type: ignore[attr-defined]
    plan_source(plan, plan.model())
    model = plan.model()
    setattr(plan, name, getattr(plan, name))
    with pytest.raises(InvalidInputError, match=f"The plan's '{name}' was set on the plan itself"):
        plan_source(plan, model)
