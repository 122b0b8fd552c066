"""Parameters as torch tensors: from and to their file, and the one flat order in which they travel."""

from collections.abc import Mapping

import torch
from safetensors.torch import save
from torch import Tensor

from policies.errors import InvalidInputError
from policies.programs.format import Program
from policies.programs.parameters import read_parameters


def load_parameters(data: bytes, program: Program, *, maximum_bytes: int) -> dict[str, Tensor]:
    """Read the program's parameters and constants by name; strict, as `policies.programs.parameters.read_parameters`.

    Raises:
        InvalidInputError: the file does not have exactly the program's tensors, in shape, type and finite.
    """
    arrays = read_parameters(data, program, maximum_bytes=maximum_bytes)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def save_parameters(values: Mapping[str, Tensor], program: Program) -> bytes:
    """Write the program's parameters and constants, taken from `values` by name, as safetensors."""
    names = [entry.name for entry in (*program.parameters, *program.constants)]
    return save({name: values[name].detach().clone(memory_format=torch.contiguous_format) for name in names})


def flatten(values: Mapping[str, Tensor], program: Program) -> Tensor:
    """Lay values of the trained parameters end to end: [program.parameter_count], by name, each in C order."""
    return torch.cat([values[entry.name].reshape(-1) for entry in program.parameters])


def unflatten(vector: Tensor, program: Program) -> dict[str, Tensor]:
    """Cut a flat float32 vector back into the trained parameters by name (views of `vector`).

    Raises:
        InvalidInputError: the vector is not float32 of exactly `program.parameter_count` coordinates.
    """
    if vector.dtype != torch.float32 or vector.shape != (program.parameter_count,):
        raise InvalidInputError(
            f"The model has shape {list(vector.shape)} and type {vector.dtype}; "
            f"this program has {program.parameter_count} float32 parameters."
        )
    pieces = torch.split(vector, [entry.size for entry in program.parameters])
    return {entry.name: piece.reshape(entry.shape) for entry, piece in zip(program.parameters, pieces, strict=True)}
