"""What a plan's classes refer to outside themselves: imports, functions and constants that make their source whole."""

import ast
import builtins
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_LONGEST_CONSTANT = 200
_CONSTANTS = (bool, int, float, str, bytes, type(None))


def context_of(sources: Mapping[str, str], namespaces: Mapping[str, Mapping[str, Any]]) -> str:
    """Statements that define what `sources` use and do not define, as far as they can be told.

    Args:
        sources: the source of each class, by the class's name.
        namespaces: the global names that each class's methods see, by the class's name.

    A name whose value is neither imported, nor a function of the researcher's, nor a short constant stays undefined:
    reviewers then see that something did not come along.
    """
    imports: dict[str, str] = {}
    definitions: dict[str, str] = {}
    waiting = [(text, namespaces[name]) for name, text in sources.items()]
    while waiting:
        text, namespace = waiting.pop(0)
        for name in _free_names(text):
            if name in sources or name in imports or name in definitions or name not in namespace:
                continue
            value = namespace[name]
            imported = _import_of(name, value)
            if imported is not None:
                imports[name] = imported
            elif isinstance(value, FunctionType):
                definitions[name] = _function_source(value)
                waiting.append((definitions[name], value.__globals__))
            elif _is_constant(value) and len(repr(value)) <= _LONGEST_CONSTANT:
                definitions[name] = f"{name} = {value!r}\n"
    return "\n".join([*sorted(imports.values()), *([""] if imports else []), *definitions.values()])


def is_installed(file: str) -> bool:
    """Whether a source file belongs to Python or to an installed package."""
    return file.startswith(_STANDARD_LIBRARY) or not _PACKAGE_FOLDERS.isdisjoint(Path(file).parts)


def _free_names(text: str) -> list[str]:
    tree = ast.parse(text)
    used = dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return [name for name in used if not hasattr(builtins, name)]


def _import_of(name: str, value: Any) -> str | None:
    if isinstance(value, ModuleType):
        return f"import {name}" if value.__name__ == name else f"import {value.__name__} as {name}"
    module, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(own, str) or "." in own or not _is_importable(module, value):
        return None
    return f"from {module} import {own}" if own == name else f"from {module} import {own} as {name}"


def _is_importable(module: str, value: Any) -> bool:
    if module.split(".")[0] in ("researcher", "typing", "builtins"):
        return True
    code = getattr(value, "__code__", None)
    file = code.co_filename if code is not None else _file_of(module)
    return file is not None and is_installed(file)


def _file_of(module: str) -> str | None:
    found = sys.modules.get(module)
    return getattr(found, "__file__", None)


def _function_source(function: FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip("\n") + "\n"
    except (OSError, TypeError):
        return f"# The source of {function.__name__} cannot be read.\n"


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_constant(part) for part in value)
    return isinstance(value, _CONSTANTS)
