"""Read a safetensors output: its numbers are counted, and the rows of its tensors seen as tables."""

from pathlib import Path

from datasites.inspection.content import MOST_CELLS, Content, at_least
from datasites.inspection.tensor_file import Tensor, read_tensor_file
from policies.disclosure.cells import Table
from policies.disclosure.volume import text_values


def read_safetensors(output: str, path: Path) -> Content:
    """Read the header, and of each tensor up to its share of the cells that are compared, from its start on.

    Raises:
        InvalidInputError: the file is no strict safetensors file.
    """
    file = read_tensor_file(path)
    share = MOST_CELLS // max(1, len(file.tensors))
    return Content(
        output,
        tuple(_table(output, path, tensor, share) for tensor in file.tensors if tensor.size),
        (*(tensor.name for tensor in file.tensors), *file.metadata),
        at_least(sum(map(text_values, file.metadata)), file.tensors[0].start if file.tensors else path.stat().st_size),
        sum(tensor.size for tensor in file.tensors),
    )


def _table(output: str, path: Path, tensor: Tensor, most: int) -> Table:
    width = tensor.shape[-1] if len(tensor.shape) > 1 else 1
    count = min(tensor.size, max(1, most // width) * width, most)
    numbers = tensor.read(path, 0, count).tolist()
    rows = tuple(tuple(numbers[first : first + width]) for first in range(0, count - count % width or count, width))
    return Table(output, ("",) * min(width, count), rows)
