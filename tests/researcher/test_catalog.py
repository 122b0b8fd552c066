"""Mock data from a site that may be malicious: exactly the manifest's columns, or a sentence."""

import pytest

from datasites.catalog.mock import draw_mock
from policies.errors import InvalidInputError
from policies.manifest import Manifest
from researcher.catalog import read_mock


def test_drawn_mock_data_is_read(manifest: Manifest) -> None:
    rows = read_mock(draw_mock(manifest, 30), manifest)
    assert list(rows.columns) == ["patient", "age", "pressure", "blood", "ill"]
    assert len(rows) == 30


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\xff\xfe",
        b"patient,age\np1,1\n",
        b'patient,age,pressure,blood,ill\n"',
        b"\0",
        b"a,b\n1,2,3,4\n1,2",
    ],
)
def test_other_bytes_are_refused(manifest: Manifest, content: bytes) -> None:
    with pytest.raises(InvalidInputError, match="The mock data of «clinic-a»"):
        read_mock(content, manifest)
