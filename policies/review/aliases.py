"""Which names of a source stand for what was imported, and for Python's own names, however they were renamed."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from policies.review.dangers import BUILTINS

_JUDGED_BUILTINS = frozenset({*BUILTINS, "getattr", "open", "type"})
_MOST_MEANINGS = 8


@dataclass
class Aliases:
    """What each name may stand for, as dotted paths; where the file binds it twice, all of its meanings."""

    meanings: dict[str, list[str]] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)

    def of(self, node: ast.expr) -> tuple[str, ...]:
        """The dotted paths that a name, or attributes of one, may stand for; none if it is neither."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ()
        return tuple(".".join([root, *reversed(parts)]) for root in self._roots(node.id))

    def _roots(self, name: str) -> list[str]:
        known = self.meanings.get(name, [])
        builtin = name in _JUDGED_BUILTINS and (name not in self.bound or _is_high(name))
        return [*known, f"builtins.{name}"] if builtin else known

    def learn(self, name: str, meaning: str) -> bool:
        """Note one meaning more; whether it was new."""
        known = self.meanings.setdefault(name, [])
        if meaning in known or len(known) >= _MOST_MEANINGS or meaning.count(".") > _MOST_MEANINGS:
            return False
        known.append(meaning)
        return True


def find_aliases(nodes: list[ast.AST]) -> Aliases:
    """Read every import, and every assignment of a name to another, of a whole file."""
    aliases = Aliases()
    for node in nodes:
        for name, meaning in _imported(node):
            aliases.learn(name, meaning)
        aliases.bound.update(_bound(node))
    assignments = [pair for node in nodes for pair in _assigned(node)]
    for _ in range(4):  # names of names of names of names
        learned = [aliases.learn(name, meaning) for name, value in assignments for meaning in aliases.of(value)]
        if not any(learned):
            break
    return aliases


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for it in node.names:
            yield (it.asname, it.name) if it.asname else (it.name.split(".")[0], it.name.split(".")[0])
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
        for it in node.names:
            yield it.asname or it.name, f"{node.module}.{it.name}"


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Tuple | ast.List) and isinstance(node.value, ast.Tuple | ast.List):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    if isinstance(one, ast.Name):
                        yield one.id, value
    elif isinstance(node, ast.NamedExpr | ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        yield node.target.id, node.value
    elif isinstance(node, ast.FunctionDef | ast.Lambda):
        positional = [*node.args.posonlyargs, *node.args.args]
        defaults = node.args.defaults
        if defaults:
            yield from zip((it.arg for it in positional[-len(defaults) :]), defaults, strict=True)


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name


def _is_high(name: str) -> bool:
    return name in BUILTINS and BUILTINS[name].severity == "high"
