"""A language model whose last layer is its first one turned round."""

import torch
from torch import Tensor, nn

from tests.models.classification import Classification


class NextToken(nn.Module):
    """The mean of the tokens so far, one hidden layer, and scores by the embedding's own rows."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 16)
        self.hidden = nn.Linear(16, 16)
        self.scores = nn.Linear(16, 30)
        self.scores.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.scores(torch.tanh(self.hidden(self.embedding(tokens).mean(1))))


class TiedWeights(Classification):
    """The next of thirty tokens."""

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return NextToken()
