"""The page for researchers: every plan on it exports for the records that it is about, and its study can be asked."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from policies.record_form import RecordForm, TensorForm
from policies.terms import Privacy
from researcher.export import export

PAGE = Path(__file__).parents[1] / "docs" / "training-plans.md"
_CATEGORY = TensorForm(shape=(), dtype="int64", choices=None)
_NUMBER = TensorForm(shape=(), dtype="float32", choices=None)
_TOKENS = RecordForm(features=TensorForm(shape=(8,), dtype="int64", choices=30522), target=_CATEGORY)
RECORDS = {
    "Scans": RecordForm(features=TensorForm(shape=(1, 32, 32), dtype="float32", choices=None), target=_CATEGORY),
    "Dose": RecordForm(features=TensorForm(shape=(8,), dtype="float32", choices=None), target=_NUMBER),
    "Letters": _TOKENS,
    "LettersByLora": _TOKENS,
}
TRAINED = {"Letters": {"head.bias", "head.weight"}}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """All code of the page as one module, from a file, as plans need their source."""
    file = tmp_path_factory.mktemp("page") / "page.py"
    file.write_text("\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)))
    described = importlib.util.spec_from_file_location("page_on_plans", file)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    sys.modules["page_on_plans"] = module
    described.loader.exec_module(module)
    yield module
    del sys.modules["page_on_plans"]


def test_every_plan_of_the_page_is_tried_here(page: ModuleType) -> None:
    plans = {name for name, it in vars(page).items() if isinstance(it, type) and hasattr(it, "metrics")}
    assert plans - {"TrainingPlan"} == set(RECORDS)


@pytest.mark.parametrize("name", list(RECORDS))
def test_the_plan_exports(page: ModuleType, name: str) -> None:
    exported = export(getattr(page, name)(), RECORDS[name])
    trained = {entry.name for entry in exported.loss.parameters}
    assert trained
    assert trained == TRAINED.get(name, trained)
    if name == "LettersByLora":
        assert all(it.startswith("head.") or "lora_" in it for it in trained)
        assert len(trained) == 2 + 2 * 2 * 6


def test_the_study_of_the_page_can_be_asked(page: ModuleType) -> None:
    assert page.ask.privacy == Privacy(epsilon=3, delta=1e-6)
    assert page.ask.early_stopping.figure in page.Letters().metrics(page.torch.zeros(1, 2), page.torch.zeros(1).long())
