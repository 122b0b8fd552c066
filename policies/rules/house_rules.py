"""The owner's standing rules, as `house_rules.toml` writes them: what binds every approval at a site."""

from typing import Annotated

from pydantic import Field, StringConstraints

from policies.errors import InvalidInputError
from policies.people.rules import ApprovalRules
from policies.rules.job_rules import JobRules
from policies.rules.training_rules import TrainingRules
from policies.statements.canonical import canonical_bytes
from policies.statements.schema import PartyId, StrictModel, parse_model
from policies.statements.toml import parse_toml

MAXIMUM_HOUSE_RULES_BYTES = 64 * 1024
DEFAULT_HOUSE_RULES = """\
# Standing rules of this datasite. Only what its owner adopts holds: after an edit, «datasite rules check» says what the
# file would do, and «datasite rules adopt» puts it into force for every approval from then on.
minimum_cohort = 3        # a sum must cover at least this many sites
minimum_colluders = 1     # and withstand this many of them colluding
maximum_epsilon = 10.0    # the most ε that one request may promise
unbounded_studies = false # true: people may approve studies without any privacy guarantee
maximum_days = 90         # the longest that an approval may stay valid
maximum_round_minutes = 60  # the longest that one round may keep the site's worker busy
decide_within_days = 90   # a request that nobody decided on for so long expires

# For the people of each data set, over all that is ever approved: for one researcher, and within a calendar quarter.
# maximum_epsilon_per_researcher = 5.0
# maximum_epsilon_per_quarter = 5.0

# Only these may ask, by their identities as «datasite peers list --json» has them; without it, every pinned researcher.
# researchers = ["…"]

[approvals]               # how many different persons must sign the same before it holds
studies = 1
jobs = 1
releases = 1              # of a job's outputs
approvers = []            # the names of those who may decide; empty: the owner and every reviewer

[shown]                   # what researchers are shown
allowance = true          # how much of a data set's budget they may still ask for
mock = true               # rows drawn from a data set's manifest; without them, its columns' names alone
packages = true           # which packages jobs find here

[training]                # of models
threads = 1               # how many processor threads each study's trainer uses
gradients = "automatic"   # how they are bounded for each person; "full": never by the faster, layer-wise way

[jobs]                    # analysis code; each job needs an approval of its own
maximum_minutes = 60      # the longest that one execution may take
maximum_memory_mib = 8192 # the most memory that it may use
maximum_disk_mib = 1024   # the most that it may write, outputs included
maximum_days = 90         # the longest that an approval may stay valid
release_clean = false     # true: outputs in which the inspection finds nothing leave at once

[jobs.outputs]            # what the inspection finds
minimum_group = 10        # a number that stands for fewer records than this

# More for one data set or set of files; the stricter of the site's rule and this one holds.
# [data_sets.breast-tumours]
# minimum_cohort = 4
# minimum_colluders = 2
# maximum_epsilon = 3.0
# studies = false         # no model is trained on it
# jobs = false            # no code sees it, nor any set of files about the same people
# machines = 3            # on how many of the site's machines a model is trained on it; see «datasite machines»

# Studies that need no person: like one that a person approved here, by the same researcher, and no costlier.
# [auto_approval]
# studies_a_quarter = 4   # at most so many in a calendar quarter
# maximum_epsilon = 1.0   # and each promises at most this
"""

_MOST_NAMES = 200
MOST_MACHINES = 64

DataSetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
"""The name of a data set, or of a set of files."""

Epsilon = Annotated[float, Field(gt=0, le=100)]
Sites = Annotated[int, Field(ge=2, le=100)]
Colluders = Annotated[int, Field(ge=0, le=98)]
Machines = Annotated[int, Field(ge=1, le=MOST_MACHINES)]
Days = Annotated[int, Field(ge=1, le=3650)]


class DataSetRules(StrictModel):
    """A section `[data_sets.NAME]`: what one data set, or set of files, demands beside the rules of the whole site."""

    minimum_cohort: Sites | None = None
    minimum_colluders: Colluders | None = None
    maximum_epsilon: Epsilon | None = None
    studies: bool = True
    """Whether models may be trained on it at all."""

    jobs: bool = True
    """Whether code may see it at all, or any set of files about the same people."""

    machines: Machines | None = None
    """On how many of the site's machines a model is trained on it; without it, on the one that serves."""


class ShownRules(StrictModel):
    """The section `[shown]`: what researchers are shown; manifests and descriptions always are."""

    allowance: bool = True
    mock: bool = True
    """Rows drawn from a data set's manifest. The mock files of a set of files are the owner's own, and always shown."""

    packages: bool = True


class AutoApprovalRules(StrictModel):
    """The section `[auto_approval]`: studies that are approved without a person; there are none without it."""

    studies_a_quarter: Annotated[int, Field(ge=1, le=1000)]
    maximum_epsilon: Epsilon


class HouseRules(StrictModel):
    """All rules of a site. `researchers` are identities: names are what a card says of itself, keys are not."""

    minimum_cohort: Sites
    minimum_colluders: Colluders
    maximum_epsilon: Epsilon
    maximum_epsilon_per_researcher: Epsilon | None = None
    maximum_epsilon_per_quarter: Epsilon | None = None
    unbounded_studies: bool = False
    maximum_days: Days
    maximum_round_minutes: Annotated[int, Field(ge=1, le=10_080)]
    decide_within_days: Days | None = None
    researchers: Annotated[tuple[PartyId, ...], Field(max_length=_MOST_NAMES)] | None = None
    approvals: ApprovalRules = ApprovalRules()
    shown: ShownRules = ShownRules()
    training: TrainingRules = TrainingRules()
    jobs: JobRules = JobRules()
    data_sets: Annotated[dict[DataSetName, DataSetRules], Field(default_factory=dict, max_length=_MOST_NAMES)]
    auto_approval: AutoApprovalRules | None = None

    def machines_for(self, data_set: str) -> int:
        """On how many of the site's machines a model is trained on the data set of this name."""
        own = self.data_sets.get(data_set)
        return 1 if own is None or own.machines is None else own.machines

    def __hash__(self) -> int:
        """Statements are values that can be looked up; a mapping among their fields has no hash of its own."""
        return hash(self.canonical())


def parse_house_rules(data: bytes) -> HouseRules:
    """Parse `house_rules.toml`.

    Raises:
        InvalidInputError: it is too long or not TOML, or saying which rule is wrong.
    """
    document = parse_toml(data, maximum_bytes=MAXIMUM_HOUSE_RULES_BYTES, what="house_rules.toml")
    try:
        content = canonical_bytes(document)
    except InvalidInputError as error:
        raise InvalidInputError(
            "house_rules.toml holds a date, or a number that is infinite, no number or too large."
        ) from error
    return parse_model(HouseRules, content, maximum_bytes=2 * MAXIMUM_HOUSE_RULES_BYTES, what="house_rules.toml")
