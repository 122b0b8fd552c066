"""What cannot be a tensor program is refused before submission, with the line of the researcher's own file."""

import inspect
import re
from typing import Any

import pytest

from policies.errors import InvalidInputError
from researcher.export import export
from tests.record_forms import columns
from tests.researcher.refused_plans import REFUSED


def marked_line(cls: type) -> int:
    """The number of the line that ends in «# HERE»."""
    lines, first = inspect.getsourcelines(cls)
    return first + next(offset for offset, line in enumerate(lines) if line.rstrip().endswith("# HERE"))


@pytest.mark.parametrize(("plan", "cls", "remedy"), REFUSED, ids=[cls.__name__ for _, cls, _ in REFUSED])
def test_a_refusal_names_the_line_and_the_remedy(plan: Any, cls: type, remedy: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        export(plan, columns(5, "int64", 3))
    text = str(refused.value)
    assert f"(refused_plans.py:{marked_line(cls)} `" in text
    assert re.search(remedy, text)
