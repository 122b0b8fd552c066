"""The thresholds are a section of the owner's TOML file: all have defaults, none can be nonsense."""

import tomllib

import pytest
from pydantic import ValidationError

from policies.disclosure.rules import DisclosureRules


def test_an_owner_writes_only_what_differs():
    written = tomllib.loads(
        "minimum_group = 20\ndominant_contributors = 2\ndominant_share = 0.85\nvalues_per_record = 1\n"
    )
    rules = DisclosureRules.model_validate(written)
    assert (rules.minimum_group, rules.dominant_contributors, rules.dominant_share) == (20, 2, 0.85)
    assert rules.maximum_values == DisclosureRules().maximum_values


@pytest.mark.parametrize(
    "wrong",
    [{"minimum_group": 1}, {"minimum_group": "10"}, {"dominant_share": 1.1}, {"tensor_share": 0}, {"minimum_grup": 10}],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValidationError):
        DisclosureRules.model_validate(wrong)
