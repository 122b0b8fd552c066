"""The section `[jobs]` of the house rules: the most that an execution may use, and what happens to its outputs."""

from typing import Annotated

from pydantic import Field

from policies.disclosure.rules import DisclosureRules
from policies.jobs.terms import MAXIMUM_DISK_MIB
from policies.statements.schema import StrictModel


class JobRules(StrictModel):
    """What one execution of a job may use at most, and whether what it writes may leave by itself."""

    maximum_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    maximum_memory_mib: Annotated[int, Field(ge=256, le=1_048_576)] = 8192
    maximum_disk_mib: Annotated[int, Field(ge=1, le=MAXIMUM_DISK_MIB)] = 1024
    maximum_days: Annotated[int, Field(ge=1, le=3650)] = 90
    release_clean: bool = False
    """Whether outputs leave at once when their inspection finds nothing to hold; said in each approval."""

    outputs: DisclosureRules = DisclosureRules()
