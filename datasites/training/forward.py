"""A program's results for many records at once, without gradients: each record on its own, by one tape for its size."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.func import vmap

from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.operations import TORCH_TYPES
from datasites.training.recording import record
from datasites.training.tape import Form, Tape
from policies.errors import InvalidInputError
from policies.programs.format import Program


class Forward:
    """A program as it is computed on records, each as if there were no other."""

    def __init__(self, program: Program) -> None:
        """Raises:
        InvalidInputError: as `interpret`.
        """
        self._program, self._run = program, interpret(program)
        self._names = [entry.name for entry in (*program.parameters, *program.constants)]
        self._tapes: dict[int, Tape] = {}

    def require_computable(self) -> None:
        """Record it for one record, while there is no data that could be told of.

        Raises:
            InvalidInputError: an operation cannot be computed on what it is given.
        """
        named, count = self._program.inputs, len(self._names)
        shapes = [entry.shape if number < count else (1, *entry.shape) for number, entry in enumerate(named)]
        forms = [Form(shape, TORCH_TYPES[entry.dtype]) for shape, entry in zip(shapes, named, strict=True)]
        try:
            record(self._mapped, *forms, *(Form((1, *it.shape), torch.float32) for it in self._program.draws))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InvalidInputError(f"A program cannot be computed: {error}.") from error

    def __call__(self, values: Mapping[str, Tensor], records: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The program's outputs in its order, each [records, …].

        Args:
            values: parameters and constants by name.
            records: what the program takes of a record, each [records, …]; of one number of records as a rule, for
                each of which a tape is recorded.
        """
        given = [*(values[name].contiguous() for name in self._names), *(it.contiguous() for it in records)]
        count = len(records[0])
        if count not in self._tapes:
            self._tapes[count] = record(self._mapped, *(Form(tuple(it.shape), it.dtype) for it in given))
        return self._tapes[count].replay(*given)

    def _mapped(self, *given: Tensor) -> tuple[Tensor, ...]:
        named, records = given[: len(self._names)], given[len(self._names) :]
        run = vmap(self._run, in_dims=(None, *[0] * len(records)))
        results: tuple[Tensor, ...] = run(dict(zip(self._names, named, strict=True)), *records)
        return results
