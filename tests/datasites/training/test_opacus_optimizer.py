"""The trainer imports Opacus' optimiser alone, and leaves nothing half imported behind."""

import subprocess
import sys

_ALONE = """
import sys
from datasites.training.optimizer import SecretNoiseOptimizer
assert not {"scipy", "opacus", "opacus.optimizers"} & set(sys.modules)
from opacus import PrivacyEngine
from opacus.optimizers import DPOptimizer
from opacus.optimizers.optimizer import DPOptimizer as same
assert DPOptimizer is same
"""
_WITH_THE_REST = """
from opacus.optimizers import DPOptimizer
from datasites.training.optimizer import SecretNoiseOptimizer
assert issubclass(SecretNoiseOptimizer, DPOptimizer)
"""


def test_the_rest_of_opacus_is_not_imported_and_can_be_later() -> None:
    subprocess.run([sys.executable, "-c", _ALONE], check=True)


def test_where_opacus_is_there_already_its_own_optimiser_is_used() -> None:
    subprocess.run([sys.executable, "-c", _WITH_THE_REST], check=True)
