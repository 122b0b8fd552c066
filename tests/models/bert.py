"""BERT of Hugging Face: trained whole, as a frozen body under a head, or by low-rank adapters (peft)."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from tests.models.classification import Classification

PADDING = 0
TINY = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 16,
}


class Sentences(nn.Module):
    """The body, the mean over what is no padding, and a head."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(width, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = (tokens != PADDING).long()
        hidden = self.body(input_ids=tokens, attention_mask=mask).last_hidden_state
        present = mask.unsqueeze(-1).to(hidden.dtype)
        return self.head((hidden * present).sum(1) / present.sum(1).clamp(min=1))


class FullBert(Classification):
    """Everything is trained. Without a folder of pretrained weights, a tiny body with random ones."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def body(self) -> BertModel:
        return BertModel(BertConfig(**TINY)) if self.folder is None else BertModel.from_pretrained(self.folder)

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        body = self.body()
        return Sentences(body, body.config.hidden_size)


class BertHead(FullBert):
    """The body is frozen, and without its dropout; only the head is trained."""

    trainable = ("head.*",)

    def body(self) -> BertModel:
        return super().body().eval()


class BertLora(FullBert):
    """Low-rank adapters beside the frozen queries and values (Hu et al. 2021), and the head."""

    trainable = ("head.*", "*.lora_?.*")

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        body = self.body()
        adapters = LoraConfig(r=4, target_modules=["query", "value"], lora_dropout=0.1, init_lora_weights=False)
        return Sentences(get_peft_model(body, adapters), body.config.hidden_size)
