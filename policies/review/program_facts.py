"""How large a study's programs are, beside the data they would learn from, and what of them leaves the site."""

from typing import Annotated

from pydantic import Field

from policies.disclosure.round_result import result_sizes
from policies.manifest import Manifest
from policies.programs.format import Program
from policies.statements.schema import StrictModel
from policies.terms import Terms

_Number = Annotated[int, Field(ge=0, le=2**53 - 1)]
_WEIGHTED = ("linear", "conv2d", "matmul")


class ProgramFacts(StrictModel):
    """Counts. `declared_numbers` is people for training × records of each at most × features of a record.

    `multiplications` is the least that one record takes: each weight of a layer once. A convolution uses its weights
    for every point of an image; how many those are is known to the trainer alone, which bounds the whole.
    """

    parameters: _Number
    constants: _Number
    operations: _Number
    results: _Number
    features: _Number
    training_people: _Number
    declared_numbers: _Number
    multiplications: _Number
    sums: _Number
    numbers_sent: _Number

    def sentences(self) -> tuple[str, ...]:
        """The same in words, for the owner."""
        beside = self.parameters / max(1, self.declared_numbers)
        return (
            f"The model has {self.parameters:,} trained numbers, and {self.constants:,} fixed ones that came along. "
            f"The data set is declared with {self.training_people:,} people to train on and at most "
            f"{self.declared_numbers:,} numbers: {beside:.2g} trained numbers for each of those.",
            f"For each record the programs compute one loss and {self.results} "
            f"{'measure' if self.results == 1 else 'measures'}, in {self.operations:,} operations and "
            f"{self.multiplications:,} multiplications or more. How much time and memory that takes was bounded when "
            "the programs were tried without data.",
            f"What leaves the site: {self.sums} masked {'answer' if self.sums == 1 else 'answers'} of "
            f"{self.numbers_sent:,} numbers altogether, which open only as sums over the whole cohort.",
        )


def program_facts(loss: Program, metrics: Program, manifest: Manifest, terms: Terms) -> ProgramFacts:
    """Count what can be counted without torch."""
    records = manifest.training_units * manifest.privacy_unit.maximum_records
    return ProgramFacts(
        parameters=loss.parameter_count,
        constants=sum(it.size for it in {it.name: it for it in (*loss.constants, *metrics.constants)}.values()),
        operations=len(loss.nodes) + len(metrics.nodes),
        results=len(metrics.outputs),
        features=loss.feature.size,
        training_people=manifest.training_units,
        declared_numbers=min(records * loss.feature.size, 2**53 - 1),
        multiplications=sum(_weights(program) for program in (loss, metrics)),
        sums=terms.sums,
        numbers_sent=sum(sum(result_sizes(terms, number)) for number in range(1, terms.sums + 1)),
    )


def _weights(program: Program) -> int:
    count = len(program.inputs)
    return sum(
        program.inputs[argument].size
        for node in program.nodes
        if node.op in _WEIGHTED
        for argument in node.args[:2]
        if argument < count and program.inputs[argument].kind != "feature"
    )
