"""Texts as tokens: the study's tokeniser run on each record's text, by the `tokenizers` library."""

import os

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from datasites.training.data import UnitData, Units
from policies.errors import InvalidInputError
from policies.programs.tokeniser import (
    BYTES_A_TOKEN,
    Tokeniser,
    Tokens,
    parse_tokeniser,
    refuse_vanishing_tokens,
    text_start,
    tokens_of,
)
from policies.record_form import TensorForm

_LETTERS_A_TOKEN = 4
_SCRIPTS = ("a", "Aa. ", "é ", "я", "北", "\ufdfa", "\u0301", "\U0001f600")

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread: so many texts at a time would start as many as it likes


class TextReader:
    """Makes `length` tokens of each text, whatever it says, and of each text on its own."""

    def __init__(self, tokeniser: Tokeniser) -> None:
        """Load the tokeniser and try it on texts of many scripts, so that nothing is left that it loads later.

        Raises:
            InvalidInputError: the library does not take it, would fail on some texts, or gives its tokens other numbers
                than the file says.
        """
        self._length, self._padding = tokeniser.length, tokeniser.padding
        try:
            self._tokenizer = Tokenizer.from_buffer(tokeniser.library_file())
            numbers = self._tokenizer.get_vocab(with_added_tokens=True)
            if self._tokenizer.normalizer is not None:
                refuse_vanishing_tokens(tokeniser, self._tokenizer.normalizer.normalize_str)
            for script in _SCRIPTS:
                self._encoded(_of_length(script.encode(), BYTES_A_TOKEN * self._length))
        except BaseException as error:
            if not _is_the_librarys(error):
                raise
            raise InvalidInputError(
                "The tokeniser does not fit together; load it with the tokenizers library, and submit it again."
            ) from error
        if numbers != tokeniser.numbers or 1 + max(numbers.values()) != tokeniser.vocabulary:
            raise InvalidInputError(
                "The tokenizers library gives the tokeniser's tokens other numbers than its file says; give each, also "
                "those that are added, the number that the library gives it, and submit it again."
            )

    def read(self, texts: list[bytes]) -> NDArray[np.int64]:
        """(texts, length): the tokens of texts in UTF-8, of each the part that `text_start` gives.

        Where the library fails on one, it is nothing but padding.
        """
        return np.array([self._row(text) for text in texts], np.int64).reshape(len(texts), self._length)

    def _row(self, text: bytes) -> list[int]:
        try:
            return self._encoded(text)
        except BaseException as error:
            if not _is_the_librarys(error):
                raise
            return [self._padding] * self._length  # if it ended the trainer, that would tell of one record's text

    def _encoded(self, text: bytes) -> list[int]:
        (encoding,) = self._tokenizer.encode_batch_fast([text_start(text, self._length)])
        if len(encoding.ids) != self._length:
            raise ValueError("The library made another number of tokens.")
        return list(encoding.ids)

    def dummy(self, maximum_bytes: int) -> bytes:
        """A text to read where there is none, so that the time hardly tells how many there are."""
        english = b"the quick brown fox jumps over the lazy dog "
        return _of_length(english, min(maximum_bytes, _LETTERS_A_TOKEN * self._length))


def open_reader(file: bytes, tokens: Tokens, features: TensorForm) -> TextReader:
    """The reader for a study whose terms say `tokens` of it, and whose records have these features.

    Raises:
        InvalidInputError: the file is no tokeniser that may be used, or another one than the terms say.
    """
    tokeniser = parse_tokeniser(file)
    if tokens_of(tokeniser, file) != tokens or tokens.form != features:
        raise InvalidInputError("The tokeniser has another length or vocabulary than the terms say; submit it again.")
    return TextReader(tokeniser)


class TokenUnits:
    """Units whose features, texts as uint8 padded with zeros, are read as tokens: `data.Units` of int64 features."""

    def __init__(self, data: Units, reader: TextReader) -> None:
        self._data, self._reader = data, reader

    def __len__(self) -> int:
        return len(self._data)

    @property
    def unit_bytes(self) -> int:
        return self._data.unit_bytes

    def chunk(self, units: Tensor, size: int) -> UnitData:
        """The given units in the first places of `size`; as many texts are read whoever they are."""
        found = self._data.chunk(units, size)
        texts = found.features.numpy()
        dummy, mask = self._reader.dummy(texts.shape[-1]), found.mask.flatten().tolist()
        rows = [
            text.tobytes().rstrip(b"\0") if there else dummy
            for text, there in zip(texts.reshape(-1, texts.shape[-1]), mask, strict=True)
        ]
        tokens = torch.from_numpy(self._reader.read(rows)).reshape(*found.mask.shape, -1)
        tokens = torch.where(found.mask[..., None], tokens, 0)
        return UnitData((tokens, found.target), found.mask)


def _of_length(part: bytes, size: int) -> bytes:
    return (part * (size // len(part) + 1))[:size]


def _is_the_librarys(error: BaseException) -> bool:
    """Whether the library says that it fails: a wrong file is a ValueError, all else an Exception of no kind.

    A panic of its Rust is not even an Exception, and its class, which pyo3 makes, is to be had by its name alone.
    """
    return type(error) in {ValueError, Exception} or type(error).__name__ == "PanicException"
