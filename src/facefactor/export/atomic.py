# SPDX-License-Identifier: Apache-2.0
"""Write whole files or none: every output of facefactor goes through here.

The bytes go to a temporary name in the target's own folder, which then takes the target's name in one step
(`os.replace`), so a crash, a full disk or Ctrl-C never leaves half a file under the final name.
"""

import io
import os
import secrets
from pathlib import Path

import numpy as np
from PIL import Image

from facefactor.errors import OutputUnwritable


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path`, replacing what was there; missing parent folders are made.

    Raises:
        OutputUnwritable: the folder or file cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".facefactor-{secrets.token_hex(8)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputUnwritable(f"{path}: cannot be written: {error.strerror or error}") from error


def write_png(path: Path, picture_srgb: np.ndarray) -> None:
    """Put an (H, W, 3) uint8 sRGB picture at `path` as PNG, the same bytes for the same picture.

    Raises:
        OutputUnwritable: as `write_bytes`.
    """
    write_bytes(path, encode_png(picture_srgb))


def encode_png(picture_srgb: np.ndarray) -> bytes:
    """Return the PNG file of an (H, W, 3) uint8 sRGB picture."""
    if picture_srgb.dtype != np.uint8 or picture_srgb.ndim != 3 or picture_srgb.shape[2] != 3:
        raise ValueError(f"a picture must be (height, width, 3) uint8, got {picture_srgb.shape} {picture_srgb.dtype}")
    file = io.BytesIO()
    Image.fromarray(picture_srgb).save(file, format="PNG")
    return file.getvalue()
