"""A transformer encoder over tokens, with padding masked and torch's own dropout."""

import torch
from torch import Tensor, nn

from tests.models.classification import Classification

PADDING = 0


class Encoder(nn.Module):
    """Embedding, two encoder layers, the mean over what is no padding, a linear head."""

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.position = nn.Parameter(torch.randn(length, width) / 10)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(width, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.layers(self.embedding(tokens) + self.position, src_key_padding_mask=tokens == PADDING)
        present = (tokens != PADDING).float().unsqueeze(2)
        return self.head((hidden * present).sum(1) / present.sum(1).clamp(min=1))


class TransformerEncoder(Classification):
    """Twelve tokens of a vocabulary of fifty, three categories."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Encoder(50, 12, 32)
