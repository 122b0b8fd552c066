"""The source that goes along with a study for its reviewers: the classes of its model, and the plan's class."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from types import FunctionType

from torch import nn

from policies.errors import InvalidInputError
from researcher.plan import TrainingPlan
from researcher.source_context import context_of, is_installed

_WITHOUT_SOURCE = ("builtins", "abc", "typing")


def plan_source(plan: TrainingPlan, model: nn.Module) -> str:
    """Collect the source of every class that the researcher wrote, the plan's last, below what these classes refer to.

    It stands in an order in which Python can define it.

    Works for classes from files and from notebook cells (whose lines Python keeps).

    Raises:
        InvalidInputError: a class has no readable source (typed at a prompt, or made by `exec`), or the plan was given
            another method or `trainable` than its class has, which no reviewer would see.
    """
    _check_attributes(plan)
    own = own_classes(plan, model)
    sources = {cls.__name__: _class_source(cls) for cls in own}
    context = context_of(sources, {cls.__name__: _namespace(cls) for cls in own})
    return "\n\n".join([*([context] if context else []), *sources.values()])


def _check_attributes(plan: TrainingPlan) -> None:
    for name in vars(plan):
        shown = inspect.getattr_static(type(plan), name, None)
        if name == "trainable" or inspect.isroutine(shown) or isinstance(shown, classmethod | staticmethod):
            raise InvalidInputError(
                f"The plan's {name!r} was set on the plan itself, where its reviewers would not see it; write it in "
                f"class {type(plan).__name__}."
            )


def own_classes(plan: TrainingPlan, model: nn.Module) -> list[type]:
    """The classes that the researcher wrote, in an order in which Python can define them: the plan's last."""
    classes = [*type(plan).__mro__, *(base for module in model.modules() for base in type(module).__mro__)]
    return list(dict.fromkeys(reversed(list(_own(classes)))))


def _own(classes: Sequence[type]) -> Iterable[type]:
    """The researcher's classes: the first, and those that neither Python nor an installed package defines."""
    for number, cls in enumerate(classes):
        method = _method(cls)
        installed = method is not None and is_installed(method.__code__.co_filename)
        if cls is not TrainingPlan and cls.__module__ not in _WITHOUT_SOURCE and (number == 0 or not installed):
            yield cls


def _method(cls: type) -> FunctionType | None:
    return next((value for value in vars(cls).values() if isinstance(value, FunctionType)), None)


def _namespace(cls: type) -> Mapping[str, object]:
    method = _method(cls)
    seen = vars(sys.modules[cls.__module__]) if method is None else method.__globals__
    return {**seen, **{base.__name__: base for base in cls.__bases__ if base.__name__ not in seen}}


def _class_source(cls: type) -> str:
    # inspect.getsource(cls) needs a file and fails for a notebook's __main__; a method's code knows its cell.
    method = _method(cls)
    if method is None:
        head = f"class {cls.__name__}({', '.join(base.__name__ for base in cls.__bases__)}):\n"
        return head + "".join(f"    {line}\n" for line in _plain_attributes(cls) or ["pass"])
    try:
        lines, _ = inspect.findsource(method)
        tree = ast.parse("".join(lines))
    except (OSError, SyntaxError) as error:
        raise _unreadable(cls) from error
    line = method.__code__.co_firstlineno
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and node.name == cls.__name__
        and node.lineno <= line <= (node.end_lineno or 0)
    ]
    if not around:
        raise _unreadable(cls)
    node = around[-1]
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip("\n") + "\n"


def _plain_attributes(cls: type) -> list[str]:
    """What a class without methods sets, a line each; all of it must be literals."""
    own = {name: value for name, value in vars(cls).items() if not name.startswith(("__", "_abc_"))}
    for value in own.values():
        try:
            literal = ast.literal_eval(repr(value)) == value
        except (ValueError, SyntaxError):
            literal = False
        if not literal:
            raise _unreadable(cls)
    return [f"{name} = {value!r}" for name, value in own.items()]


def _unreadable(cls: type) -> InvalidInputError:
    return InvalidInputError(
        f"The source of class {cls.__name__} cannot be read, and reviewers need it; define it in a cell or a file."
    )
