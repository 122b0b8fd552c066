"""Opacus' optimiser without the rest of Opacus: importing that would make every trainer start a second later.

`opacus/__init__.py` imports accountants, layers and data loaders, and with them SciPy; the optimiser uses none of them.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


def _import_alone() -> ModuleType:
    """Import the module beside packages that are there by name only; whoever imports Opacus later finds it whole."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "opacus"}
    if "opacus" not in before:
        for name in ("opacus", "opacus.optimizers"):
            spec = find_spec(name)
            if spec is None:
                raise ModuleNotFoundError(f"{name} is not installed; install this package's dependencies.")
            sys.modules[name] = module_from_spec(spec)
    try:
        return import_module("opacus.optimizers.optimizer")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "opacus" and name not in before]:
            del sys.modules[name]


OPACUS = _import_alone()
"""The module `opacus.optimizers.optimizer`."""
DPOptimizer: Any = OPACUS.DPOptimizer
