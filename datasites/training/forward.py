"""A program's results for many records at once, without gradients: each record on its own, by one tape for its size."""

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.func import vmap

from datasites.tensor_programs.interpret import interpret
from datasites.training.recording import record
from datasites.training.tape import Form, Tape
from policies.programs.format import Program


class Forward:
    """A program as it is computed on records, each as if there were no other."""

    def __init__(self, program: Program) -> None:
        """Raises:
        InvalidInputError: as `interpret`.
        """
        self._names = [entry.name for entry in (*program.parameters, *program.constants)]
        self._run = interpret(program)
        self._tapes: dict[int, Tape] = {}

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
