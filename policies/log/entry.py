"""What all log entries begin with: when the site made them, by its own clock."""

from policies.statements.schema import StrictModel, Timestamp


class Entry(StrictModel):
    """A record of one thing that a datasite must answer for; each kind adds a `kind` of its own."""

    at: Timestamp
