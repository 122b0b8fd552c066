"""Which reader an output gets: the one of its name, if its first bytes agree; whatever happens, something is told."""

from collections.abc import Callable
from pathlib import Path

from datasites.inspection import png_output
from datasites.inspection.content import MOST_TEXT_BYTES, Content, LimitsError
from datasites.inspection.csv_output import read_csv
from datasites.inspection.json_output import read_json
from datasites.inspection.parquet_output import read_parquet
from datasites.inspection.png_output import read_png
from datasites.inspection.tensor_output import read_safetensors
from datasites.inspection.text_output import read_text
from policies.disclosure.file_findings import OtherFormat, Unreadable
from policies.errors import InvalidInputError

_MOST_BYTES = 8 * MOST_TEXT_BYTES


def _whole(reader: Callable[[str, bytes], Content]) -> Callable[[str, Path], Content]:
    def read(output: str, path: Path) -> Content:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise LimitsError
        return reader(output, data)

    return read


_READERS: dict[str, tuple[bytes, Callable[[str, Path], Content]]] = {
    ".json": (b"", _whole(read_json)),
    ".jsonl": (b"", _whole(read_json)),
    ".csv": (b"", _whole(read_csv)),
    ".tsv": (b"", _whole(read_csv)),
    ".parquet": (b"PAR1", read_parquet),
    ".safetensors": (b"", read_safetensors),
    ".png": (png_output.SIGNATURE, _whole(read_png)),
    ".txt": (b"", _whole(read_text)),
    ".md": (b"", _whole(read_text)),
    ".log": (b"", _whole(read_text)),
}


def read_output(output: str, path: Path) -> Content:
    """Read one output by its type. What cannot be read is content of which a finding says so."""
    start, reader = _READERS.get(Path(output).suffix.lower(), (b"", None))
    if reader is None:
        return Content(output, found=(OtherFormat(output=output),))
    try:
        with path.open("rb") as file:
            if file.read(len(start)) != start:
                return Content(output, found=(OtherFormat(output=output),))
        return reader(output, path)
    except (LimitsError, MemoryError):
        return Content(output, found=(Unreadable(output=output, reason="limits"),))
    except (InvalidInputError, OSError):
        return Content(output, found=(Unreadable(output=output, reason="damaged"),))
