"""What differs between two tensor programs, node by node, whatever numbers an inserted node gave to those behind it."""

from collections.abc import Iterator
from difflib import SequenceMatcher

from policies.programs.format import Input, Node, Program
from policies.statements.canonical import canonical_bytes

_MOST_ALIGNED = 600


def program_edits(before: Program, after: Program) -> list[str]:
    """A sentence for each difference; at least one unless the two are the same."""
    if before == after:
        return []
    found = [*_inputs(before, after), *_nodes(before, after), *_outputs(before, after)]
    return found or ["The same operations take their values in another order."]


def _inputs(before: Program, after: Program) -> Iterator[str]:
    old, new = ({it.name: it for it in program.inputs} for program in (before, after))
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"The input «{name}» ({_shape(old[name])}) is gone."
        elif name not in old:
            yield f"There is a new input «{name}» ({_shape(new[name])})."
        elif old[name] != new[name]:
            yield f"The input «{name}» was {_shape(old[name])} and is {_shape(new[name])}."


def _outputs(before: Program, after: Program) -> Iterator[str]:
    old, new = before.output_names, after.output_names
    if old != new:
        yield f"Its results were {', '.join(old)} and are {', '.join(new)}."


def _nodes(before: Program, after: Program) -> Iterator[str]:
    matched = _matched(before, after)
    kept = set(matched.values())
    values = _values(before, after, matched)
    gone = [number for number in range(len(before.nodes)) if number not in matched]
    come = [number for number in range(len(after.nodes)) if number not in kept]
    for old, new in zip(gone, come, strict=False):
        yield f"Node {old} was {_words(before.nodes[old])} and is, as node {new}, {_words(after.nodes[new])}."
    for old in gone[len(come) :]:
        yield f"Node {old}, {_words(before.nodes[old])}, is gone."
    for new in come[len(gone) :]:
        yield f"There is a new node {new}, {_words(after.nodes[new])}."
    fresh = {len(after.inputs) + number for number in come}
    for first, second in matched.items():
        old_arguments = [values.get(it) for it in before.nodes[first].args]
        for place, (expected, got) in enumerate(zip(old_arguments, after.nodes[second].args, strict=True)):
            # A value that is gone or new was told already; its neighbours take another one because of that.
            if expected != got and expected is not None and got not in fresh:
                yield f"Node {second}, {_words(after.nodes[second])}, takes another value as its operand {place + 1}."
    for one, other in zip(before.outputs, after.outputs, strict=False):
        expected = values.get(one.ref)
        if one.name == other.name and expected is not None and expected != other.ref and other.ref not in fresh:
            yield f"The result «{one.name}» is another value."


def _values(before: Program, after: Program, matched: dict[int, int]) -> dict[int, int]:
    """Where each value of the old program stands in the new one, if it still does."""
    places = {it.name: place for place, it in enumerate(after.inputs)}
    inputs = {place: places[it.name] for place, it in enumerate(before.inputs) if it.name in places}
    nodes = {len(before.inputs) + old: len(after.inputs) + new for old, new in matched.items()}
    return inputs | nodes


def _matched(before: Program, after: Program) -> dict[int, int]:
    """Pairs of nodes, by number, that do the same and stand in the same order."""
    old, new = ([_key(node) for node in program.nodes] for program in (before, after))
    shorter = min(len(old), len(new))
    head = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    rest = shorter - head
    tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    pairs = {at: at for at in range(head)} | {len(old) - 1 - at: len(new) - 1 - at for at in range(tail)}
    first, second = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(first), len(second)) <= _MOST_ALIGNED:
        for block in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks():
            pairs |= {head + block.a + step: head + block.b + step for step in range(block.size)}
    return pairs


def _key(node: Node) -> tuple[str, int, bytes]:
    return node.op, len(node.args), canonical_bytes(node.model_dump(mode="json")["kwargs"])


def _words(node: Node) -> str:
    options = ", ".join(f"{name}={value}" for name, value in sorted(node.kwargs.items()))
    return f"{node.op}({options})" if options else node.op


def _shape(entry: Input) -> str:
    return f"{entry.kind}, {entry.dtype} {list(entry.shape)}"
