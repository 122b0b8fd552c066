"""Valid values of what data sets are made of: manifests, snapshots, tables, images and what decoders say."""

from io import BytesIO

import numpy as np
from PIL import Image
from safetensors.numpy import save

from datasites.catalog.parquet_messages import Decoded, FileColumn
from datasites.catalog.snapshot_layout import layout_of
from policies.manifest import parse_manifest
from policies.statements.schema import StrictModel
from tests.conftest import CLINIC

_FIRST, _LAST = CLINIC.index("[[columns]]"), CLINIC.rindex("[[columns]]")
IMAGES, TEXTS = (
    CLINIC[:_FIRST] + f'[[columns]]\nname = "it"\n{lines}\n' + CLINIC[_LAST:]
    for lines in ('type = "image"\nchannels = 1\nheight = 1\nwidth = 2', 'type = "text"\nmaximum_bytes = 9')
)
COLUMNS = (
    CLINIC.replace('target = "ill"', 'target = ["ill", "age"]')
    .replace("220.0", "220.0\nmissing = { value = 61.5, indicator = true }")
    .replace('"category"\ncategories = ["A"', '"ordinal"\nlevels = ["A"')
)
SNAPSHOTS = tuple(layout_of(parse_manifest(it.encode()), 75, 25) for it in (CLINIC, IMAGES, TEXTS, COLUMNS))
DECODED: tuple[StrictModel, ...] = (
    Decoded(columns=(FileColumn(name="age", kind="whole"), FileColumn(name="blood", kind="text"))),
    Decoded(rows=3),
    Decoded(end="complete"),
)
DECODED_ROWS = save(
    {
        "0": np.array([1, 0, -1], np.int32),
        "0.text": np.frombuffer(b"nomaybe", np.uint8),
        "0.ends": np.array([2, 7], np.int64),
        "1": np.array([3, -4, 2**60], np.int64),
        "1.null": np.array([False, False, True]),
        "2": np.array([0.5, np.nan, -1e300]),
        "2.null": np.array([False, False, False]),
    }
)
_IMAGE = BytesIO()
Image.new("L", (2, 1), 7).save(_IMAGE, "PNG")
IMAGE = _IMAGE.getvalue()
_ARRAYS = BytesIO()
np.savez(_ARRAYS, patient=np.arange(3), it=np.ones((3, 1, 1, 2), np.uint8), ill=np.array(["no", "yes", "no"]))
ARRAYS = _ARRAYS.getvalue()
