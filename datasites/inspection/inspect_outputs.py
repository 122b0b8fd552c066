"""The inspection: read all outputs, compare them with all private tables, and say what was found."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datasites.inspection.compare_groups import compare_groups
from datasites.inspection.compare_likeness import compare_likeness
from datasites.inspection.content import Content
from datasites.inspection.formats import read_output
from datasites.inspection.group_query import Counting
from datasites.inspection.private_tables import PrivateTable, private_tables
from datasites.inspection.question import STREAMS, PrivateData, Question
from datasites.inspection.survey import Survey, column_names, survey
from policies.disclosure.cells import fold, plain
from policies.disclosure.counts import check_counts
from policies.disclosure.file_findings import UnreadData
from policies.disclosure.files import check_files
from policies.disclosure.finding_parts import Severity, as_label
from policies.disclosure.findings import Finding, Findings, collect
from policies.disclosure.identity import check_identifiers, possible_names
from policies.disclosure.rules import DisclosureRules
from policies.disclosure.volume import check_runs, check_tensors, check_values
from policies.errors import InvalidInputError

_DESCRIPTIONS = frozenset({".md", ".rst", ".toml", ".yaml", ".yml", ".pdf"})


def inspect_outputs(question: Question, outputs: Path, private: Path) -> Findings:
    """Inspect the files below `outputs`, with the private files at `private`/data set/file.

    It informs a person. It sees repeated records, groups that are too small, names and sheer volume; it cannot see
    data that was enciphered, spread over harmless numbers or summed with others, what an image shows, the difference
    between two releases, or what a model has learnt by heart.
    """
    rules = question.rules
    contents = [read_output(name, outputs / name) for name in question.outputs]
    sizes = {name: (outputs / name).stat().st_size for name in question.outputs}
    found: list[Finding] = [*check_files(sizes, {*question.declared, *STREAMS}, question.left_out, rules)]
    for content in contents:
        found.extend(content.found)
        found.extend(check_runs(content.output, content.all_texts(), rules))
    names = {content.output: possible_names(content.all_texts()) for content in contents}
    surveys: list[Survey] = []
    for data in question.data_sets:
        for file in data.files:
            try:
                for table in _tables(data, file, private):
                    looked = _look(table, data, contents, names, rules, found)
                    found.extend(compare_likeness(looked, contents, rules))
                    surveys.append(looked)
            except InvalidInputError:
                found.append(_unread(file))
    found.extend(_overall(contents, surveys, rules))
    return collect(question.outputs, list(dict.fromkeys(found)))


def _tables(data: PrivateData, file: str, private: Path) -> list[PrivateTable]:
    tables = private_tables(private / data.data_set / file)
    if tables is None:
        raise InvalidInputError("No reader fits this private file.")
    return tables


def _unread(file: str) -> UnreadData:
    severity: Severity = "note" if Path(file).suffix.lower() in _DESCRIPTIONS else "hold"
    return UnreadData(severity=severity, file=as_label(file))


def _look(
    table: PrivateTable,
    data: PrivateData,
    contents: Sequence[Content],
    names: Mapping[str, set[float | str]],
    rules: DisclosureRules,
    found: list[Finding],
) -> Survey:
    """Read a private table once, and add what that tells of groups and names."""
    columns = column_names(table)
    unit = next((name for name in columns if data.unit_column and fold(name) == fold(data.unit_column)), None)
    counting = Counting(unit, rules.minimum_group, rules.dominant_contributors)
    groups = [it for content in contents for one in content.tables if (it := compare_groups(one, columns, counting))]
    queries = [query for group in groups for query in group.queries()]
    looked = survey(table, queries, set().union(*names.values()), data.unit_column, data.columns)
    for group in groups:
        found.extend(group.findings(rules))
    for output, words in names.items():
        for column, values in looked.identifying.items():
            found.extend(check_identifiers(output, column, len(values & words)))
    if data.unit_column is not None:
        for content in contents:
            found.extend(check_identifiers(content.output, data.unit_column, _listed_units(content, data.unit_column)))
    return looked


def _listed_units(content: Content, unit_column: str) -> int:
    """How many different values stand in columns named as the privacy unit's."""
    return max(
        (
            len({plain(cell) for cell in table.column(place)} - {None})
            for table in content.tables
            for place, name in enumerate(table.columns)
            if fold(name) == fold(unit_column)
        ),
        default=0,
    )


def _overall(contents: Sequence[Content], surveys: Sequence[Survey], rules: DisclosureRules) -> Iterator[Finding]:
    """What is judged by how much there is of it, in the outputs and in the data."""
    records = max((it.records for it in surveys), default=0)
    cells = sum(it.records * len(it.spreads) for it in surveys)
    yield from check_values(sum(content.values for content in contents), records, rules)
    yield from check_tensors(sum(content.tensor_numbers for content in contents), cells, rules)
    totals = {it.records for it in surveys} - {0}
    columns = {name for it in surveys for name in it.spreads}
    for content in contents:
        counts = [it for table in content.tables for it in check_counts(table, columns, totals, rules)]
        holds = [it for it in counts if it.severity == "hold"]
        yield from holds or counts[:1]
