"""Notes on tensor programs, without torch: layers that could memorise people, and what no result depends on."""

from collections.abc import Iterator

from policies.manifest import Manifest
from policies.programs.format import Input, Node, Program
from policies.review.dangers import ASKS
from policies.review.findings import Check, Note, Severity
from policies.terms import Evaluation

_MANY_ROWS = 0.5
_MANY_CLASSES = 0.5
_LARGE_CONSTANTS = 10_000


def program_notes(name: str, program: Program, manifest: Manifest, evaluation: Evaluation) -> Iterator[Note]:
    """What stands out in the program that `name` says, beside a data set with this manifest and what is measured."""
    reader = _Reader(f"the {name} program", program, manifest, evaluation)
    yield from reader.note_layers()
    yield from reader.note_size()
    yield from reader.note_use()


class _Reader:
    """One program with the inputs that each value is made from, as far as only shapes were changed on the way."""

    def __init__(self, place: str, program: Program, manifest: Manifest, evaluation: Evaluation) -> None:
        self._place = place
        self._program = program
        self._people = manifest.training_units
        self._scores = {it.outputs[1]: it.name for it in evaluation.histograms}
        self._origins = self._follow()

    def note_layers(self) -> Iterator[Note]:
        """Layers with about as many places as there are people: each could hold one of them."""
        for number, node in enumerate(self._program.nodes):
            weight = self._weight(node)
            if weight is not None and node.op in ("embedding", "gather"):
                yield from self._note_rows(number, node, weight)
            elif weight is not None and len(weight.shape) > 1:
                width = max(weight.shape[0], weight.shape[-1] if node.op == "matmul" else 0)
                if width > self._people:
                    yield self._note(
                        "memorising",
                        "medium",
                        f"Node {number}, a layer of {width:,} units («{weight.name}»), is wider than the "
                        f"{self._people:,} people to train on: it has room to learn each of them by heart.",
                    )
            classes = node.kwargs["classes"] if node.op == "one_hot" else None
            if isinstance(classes, int) and classes > _MANY_CLASSES * self._people:
                yield self._note(
                    "memorising",
                    "medium",
                    f"Node {number} tells {classes:,} cases apart, beside {self._people:,} people to train on: it may "
                    "tell the people apart.",
                )

    def note_size(self) -> Iterator[Note]:
        """More numbers to learn than people to learn from, large tables that came along, and chance."""
        trained = self._program.parameter_count
        if trained > 100 * self._people:
            yield self._note(
                "size",
                "low",
                f"It trains {trained:,} numbers, {trained // self._people:,} for each person to train on; the limit on "
                "what one person can change holds all the same.",
            )
        fixed = sum(it.size for it in self._program.constants)
        if fixed > _LARGE_CONSTANTS:
            yield self._note(
                "program", "low", f"{fixed:,} fixed numbers came along with it, which nobody can read as they are."
            )

        drawn = sum(draw.size for draw in self._program.draws)
        if drawn:
            yield self._note(
                "program", "low", f"It draws {drawn:,} random numbers for each record and step, as dropout does."
            )

    def note_use(self) -> Iterator[Note]:
        """Results that depend on less than one would think."""
        needs = {output.name: self._needs(output.ref) for output in self._program.outputs}
        used = set().union(*needs.values())
        count = len(self._program.inputs)
        for name, values in needs.items():
            kinds = {self._program.inputs[value].kind for value in values if value < count}
            score = self._scores.get(name)
            if score is not None and "feature" in kinds:
                yield self._note(
                    "program",
                    "medium",
                    f"The label of score «{score}» is made from the record's features, not from its target alone.",
                )
            elif "parameter" not in kinds and not (score is not None and "target" in kinds):
                yield self._note(
                    "program", "medium", f"Its result «{name}» does not depend on the trained model at all."
                )
            if not kinds & {"feature", "target"}:
                yield self._note("program", "medium", f"Its result «{name}» does not depend on the record at all.")
        idle = len(self._program.nodes) - sum(value >= count for value in used)
        if idle:
            yield self._note("program", "low", f"Operations of it that influence no result: {idle}.")

    def _note_rows(self, number: int, node: Node, table: Input) -> Iterator[Note]:
        rows = table.shape[0] if node.op == "embedding" or not table.shape else max(table.shape)
        if rows > _MANY_ROWS * self._people:
            severity: Severity = "high" if rows >= self._people else "medium"
            yield self._note(
                "memorising",
                severity,
                f"Node {number} looks values up in a table of {rows:,} rows («{table.name}»), beside {self._people:,} "
                "people to train on: a row for each person can hold what was learned of that person.",
            )

    def _weight(self, node: Node) -> Input | None:
        """The trained input that a layer applies, if it does."""
        if node.op not in ("linear", "matmul", "embedding", "gather", "conv2d"):
            return None
        found = (self._origins.get(argument) for argument in node.args[:2])
        return next((it for it in found if it is not None), None)

    def _follow(self) -> dict[int, Input]:
        origins = {place: it for place, it in enumerate(self._program.inputs) if it.kind == "parameter"}
        for place, node in enumerate(self._program.nodes, len(self._program.inputs)):
            if node.op in ("permute", "reshape", "detach", "to", "slice", "expand") and node.args[0] in origins:
                origins[place] = origins[node.args[0]]
        return origins

    def _needs(self, reference: int) -> set[int]:
        """Every value that this one is computed from, and itself."""
        count, found, waiting = len(self._program.inputs), {reference}, [reference]
        while waiting:
            value = waiting.pop()
            arguments = self._program.nodes[value - count].args if value >= count else ()
            fresh = set(arguments) - found
            found |= fresh
            waiting.extend(fresh)
        return found

    def _note(self, check: Check, severity: Severity, sentence: str) -> Note:
        return Note(self._place, None, check, severity, sentence, ASKS[check])
