"""What an inspection can say of what the outputs hold: groups, rows, columns, names and numbers."""

from typing import Literal

from policies.disclosure.finding_parts import Count, Label, Labels, OfAll, OfOutput, OutputName, Severity, Share, listed
from policies.statements.schema import StrictModel


class SmallCounts(StrictModel):
    """A column of counts holds some that are too small; a note where it may hold something else than counts."""

    check: Literal["small-counts"] = "small-counts"
    output: OutputName
    severity: Severity
    column: Label
    rows: Count
    smallest: Count
    minimum: Count

    @property
    def sentence(self) -> str:
        doubt = "looks like counts" if self.severity == "note" else "counts records"
        return (
            f"Column «{self.column}» {doubt}, and in {self.rows:,} rows they are fewer than {self.minimum} (the "
            f"smallest: {self.smallest}). So few people can be recognised: ask for coarser groups, or for these rows "
            "to be left out."
        )


class SmallGroups(OfOutput):
    """Rows stand for groups that have too few people, or records, in the private data."""

    check: Literal["small-groups"] = "small-groups"
    columns: Labels
    rows: Count
    smallest: Count
    minimum: Count

    @property
    def sentence(self) -> str:
        return (
            f"Grouped by {listed(self.columns)}, {self.rows:,} rows stand for fewer than {self.minimum} people "
            f"or records each (the smallest: {self.smallest}), counted in your data. Ask for coarser groups, or for "
            "these rows to be left out."
        )


class Dominance(OfOutput):
    """In some groups a few records make up most of a column's total."""

    check: Literal["dominance"] = "dominance"
    columns: Labels
    rows: Count
    contributors: Count
    share: Share
    most: Share

    @property
    def sentence(self) -> str:
        who = "one record makes up" if self.contributors == 1 else f"{self.contributors} records make up"
        return (
            f"In {self.rows:,} rows {who} more than {self.most:.0%} of the group's total of {listed(self.columns)} "
            f"(up to {self.share:.0%}), so that the total or mean gives them away. Ask for coarser groups or a median."
        )


class RecordRows(OfOutput):
    """Rows, lines or tensors' rows repeat values of one private record."""

    check: Literal["record-rows"] = "record-rows"
    rows: Count
    cells: Count

    @property
    def sentence(self) -> str:
        return (
            f"{self.rows:,} rows repeat values of a private record, in any order of the columns and perhaps rounded or "
            f"rescaled (up to {self.cells:,} values agree); by chance this all but never happens. Do not release it: "
            "records do not leave."
        )


class RareCombinations(OfOutput):
    """Rows hold a combination of values, in columns named as the private data's, that few records have."""

    check: Literal["rare-combinations"] = "rare-combinations"
    columns: Labels
    rows: Count
    minimum: Count

    @property
    def sentence(self) -> str:
        return (
            f"In {self.rows:,} rows the values of {listed(self.columns)} stand together in some, but fewer than "
            f"{self.minimum}, private records. Whoever knows these of a person finds their row: ask for fewer or "
            "coarser columns."
        )


class CopiedColumn(OfOutput):
    """A column or list holds the values of a private column, one by one."""

    check: Literal["copied-column"] = "copied-column"
    column: Label
    private_column: Label
    values: Count
    minimum: Count

    @property
    def sentence(self) -> str:
        return (
            f"«{self.column}» lists {self.values:,} values that stand in your column «{self.private_column}», each in "
            f"fewer than {self.minimum} records. That is the column itself, not a summary: do not release it."
        )


class Identifiers(OfOutput):
    """Values that name a person or record appear in the output or its name."""

    check: Literal["identifiers"] = "identifiers"
    private_column: Label
    found: Count

    @property
    def sentence(self) -> str:
        return (
            f"{self.found:,} values of your column «{self.private_column}», which name people or records, appear in "
            "it. None may leave: do not release it."
        )


class TooManyValues(OfAll):
    """All outputs together hold enough values to carry one for each record, or more than anybody reads."""

    check: Literal["too-many-values"] = "too-many-values"
    values: Count
    records: Count
    most: Count

    @property
    def sentence(self) -> str:
        return (
            f"The outputs hold {self.values:,} values for {self.records:,} private records; {self.most:,} are allowed. "
            "So many could carry the data itself in another form: ask for a summary, or look through all of them."
        )


class OpaqueText(OfOutput):
    """Long runs of characters without a space, as encoded data has them."""

    check: Literal["opaque-text"] = "opaque-text"
    longest: Count
    most: Count

    @property
    def sentence(self) -> str:
        return (
            f"It holds a run of {self.longest:,} characters without a space; up to {self.most} are usual. Such runs "
            "are often data in another spelling: do not release it unless you know what it says."
        )


class LargeTensors(OfAll):
    """All tensors together are large enough to remember a good part of the data."""

    check: Literal["large-tensors"] = "large-tensors"
    numbers: Count
    cells: Count
    most: Share

    @property
    def sentence(self) -> str:
        return (
            f"The tensors hold {self.numbers:,} numbers; your data has {self.cells:,} cells, of which {self.most:.0%} "
            "are allowed. A model of this size can have learnt single records by heart: ask for a smaller one, or "
            "for training with a privacy budget."
        )
