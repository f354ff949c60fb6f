# SPDX-License-Identifier: Apache-2.0
"""Read Radiance .hdr panoramas, the usual file of an environment map (numpy).

A header of text lines ends with an empty line; then a line "-Y height +X width"; then, row by row, four bytes a pixel:
mantissas of red, green, blue and a shared exponent (RGBE),

    radiance = (mantissa + ½) · 2^(exponent - 136),  zero where the exponent is zero

each row's four channels packed one after the other: a count over 128 repeats the next byte count - 128 times, a smaller
one says how many bytes follow as they are. Source: Ward 1991, "Real Pixels", Graphics Gems II; Radiance's file formats.
"""

import re
from pathlib import Path

import numpy as np

from facefactor.errors import AssetMissing

PACKED_WIDTHS = range(8, 32768)
"""Rows of other widths are never packed."""
MAX_PIXELS = 64_000_000


def read_radiance_file(path: Path) -> np.ndarray:
    """Read a .hdr file: (height, width, 3) float32 linear RGB, row 0 at the top.

    Raises:
        AssetMissing: there is no such file, or it is no whole .hdr file of the usual orientation.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AssetMissing(f"{path}: cannot be read ({error.strerror or error})") from None
    if not content.startswith((b"#?RADIANCE", b"#?RGBE")):
        raise AssetMissing(f"{path}: is no Radiance .hdr file")
    size = re.search(rb"\n\n-Y (\d{1,9}) \+X (\d{1,9})\n", content)
    if size is None or not 0 < int(size[1]) * int(size[2]) <= MAX_PIXELS:
        raise AssetMissing(f"{path}: is no Radiance .hdr file with rows from the top, or too large")
    height, width = int(size[1]), int(size[2])
    try:
        rgbe = _unpack(np.frombuffer(content, dtype=np.uint8, offset=size.end()), height, width)
    except (IndexError, ValueError):
        raise AssetMissing(f"{path}: is damaged: it ends before its last row, or a row is too long") from None
    scale = np.where(rgbe[..., 3:] > 0, np.ldexp(np.float32(1.0), rgbe[..., 3:].astype(np.int32) - 136), 0.0)
    return ((rgbe[..., :3] + np.float32(0.5)) * scale).astype(np.float32)


def _unpack(data: np.ndarray, height: int, width: int) -> np.ndarray:
    """Unpack the rows: (height, width, 4) uint8."""
    if width not in PACKED_WIDTHS or (data[0], data[1]) != (2, 2):
        return data[: height * width * 4].reshape(height, width, 4)
    rows, place = np.empty((height, 4, width), dtype=np.uint8), 0
    for row in rows:
        place += 4  # 2, 2 and the width again
        for channel in row:
            place = _unpack_channel(data, place, channel)
    return rows.transpose(0, 2, 1)


def _unpack_channel(data: np.ndarray, place: int, channel: np.ndarray) -> int:
    """Fill one channel of a row from the bytes at `place`, and return where the next one starts."""
    filled = 0
    while filled < len(channel):
        count = int(data[place])
        length = count - 128 if count > 128 else count
        if length == 0 or filled + length > len(channel):
            raise ValueError("a run leaves its row")
        source = data[place + 1] if count > 128 else data[place + 1 : place + 1 + length]
        channel[filled : filled + length] = source
        place += 2 if count > 128 else 1 + length
        filled += length
    return place
