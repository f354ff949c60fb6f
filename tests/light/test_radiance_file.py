# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from facefactor.errors import AssetMissing
from facefactor.light.radiance_file import read_radiance_file

HEADER = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n"


def test_packed_rows_repeat_and_copy(tmp_path: Path) -> None:
    red, green = bytes([128 + 8, 64]), bytes([3, 1, 2, 3, 128 + 5, 9])  # one run; three as they are, then a run
    row = bytes([2, 2, 0, 8]) + red + green + bytes([128 + 8, 0]) + bytes([128 + 8, 136])
    path = tmp_path / "raum ü.hdr"
    path.write_bytes(HEADER + b"-Y 2 +X 8\n" + row + row)
    picture = read_radiance_file(path)
    assert picture.shape == (2, 8, 3)
    assert np.array_equal(picture[1, :, 0], np.full(8, 64.5))  # exponent 136 is a scale of one
    assert np.array_equal(picture[0, :, 1], [1.5, 2.5, 3.5, 9.5, 9.5, 9.5, 9.5, 9.5])


def test_flat_rows_and_black(tmp_path: Path) -> None:
    path = tmp_path / "flat.hdr"
    path.write_bytes(HEADER + b"-Y 1 +X 2\n" + bytes([10, 20, 30, 137, 0, 0, 0, 0]))
    assert np.array_equal(read_radiance_file(path), [[[21.0, 41.0, 61.0], [0.0, 0.0, 0.0]]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a", "no Radiance"),
        (HEADER + b"+X 2 -Y 1\n", "rows from the top"),
        (HEADER + b"-Y " + b"9" * 5000 + b" +X 1\n", "rows from the top"),
        (HEADER + b"-Y 2 +X 8\n" + bytes([2, 2, 0, 8, 136]), "damaged"),
        (HEADER + b"-Y 2 +X 8\n", "damaged"),
        (HEADER + b"-Y 1 +X 8\n" + bytes([2, 2, 0, 8, 128 + 9, 1]), "damaged"),
        (HEADER + b"-Y 1 +X 2\n" + bytes(5), "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.hdr"
    path.write_bytes(content)
    with pytest.raises(AssetMissing, match=message):
        read_radiance_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match=r"none\.hdr"):
        read_radiance_file(tmp_path / "none.hdr")
