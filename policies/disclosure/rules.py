"""The thresholds by which outputs are judged, as the owner's house rules carry them."""

from typing import Annotated

from pydantic import Field

from policies.statements.schema import StrictModel


class DisclosureRules(StrictModel):
    """What an output may look like and still be called clean; the defaults fit data on people.

    `minimum_group` 10 and `dominant_share` 50 % for one contributor are the rules of thumb of European statistical
    offices (Brandt et al., Guidelines for the checking of output based on microdata research, 2010; for the rules
    themselves Hundepool et al., Statistical Disclosure Control, 2012, sections 4.2 and 5). The rest is ours: what has
    fewer values than the data has records cannot carry one for each of them, and beyond `maximum_values` nobody reads
    what was found.
    """

    minimum_group: Annotated[int, Field(ge=2, le=10_000)] = 10
    """The fewest people (records, if no column names people) that a row of a table may stand for."""

    dominant_contributors: Annotated[int, Field(ge=1, le=10)] = 1
    """n of the (n, k) rule: so many largest contributors are looked at together."""

    dominant_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """k of the (n, k) rule: the largest share of a group's total that they may make up."""

    values_per_record: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """The most values that all outputs together, tensors apart, may hold for each private record."""

    maximum_values: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """The most values that all outputs together, tensors apart, may hold, whatever the size of the data."""

    tensor_share: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """The most numbers that all tensors together may hold, as a share of the cells of the private data."""

    maximum_output_bytes: Annotated[int, Field(ge=1, le=2**40)] = 100_000_000
    """The most bytes that all outputs together may have."""

    longest_word: Annotated[int, Field(ge=10, le=100_000)] = 100
    """The most characters that may follow each other without a space: longer ones may be data in another spelling."""
