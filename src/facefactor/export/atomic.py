# SPDX-License-Identifier: Apache-2.0
"""Write whole files or none: every output of facefactor goes through here.

The bytes go to a temporary name in the target's own folder, which then takes the target's name in one step
(`os.replace`), so a crash, a full disk or Ctrl-C never leaves half a file under the final name.
"""

import contextlib
import io
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from facefactor.errors import OutputUnwritable

PNG_LEVEL = 3
"""Of zlib: twice as fast as its default for files a seventh larger (measured on rows and textures)."""


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path`, replacing what was there; missing parent folders are made.

    Raises:
        OutputUnwritable: the folder or file cannot be written, or the disk is full.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Put several files in their places only once all of their bytes are on the disk.

    Raises:
        OutputUnwritable: as `write_bytes`; none of the files is then new, unless the renaming itself failed.
    """
    temporaries = {path: _temporary_beside(path) for path in contents}
    path = Path()
    try:
        try:
            for path, temporary in temporaries.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(contents[path])
            for path, temporary in temporaries.items():
                os.replace(temporary, path)
        finally:
            for temporary in temporaries.values():
                _remove(temporary)
    except OSError as error:
        raise OutputUnwritable(f"{path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def replaced_when_done(path: Path) -> Iterator[Path]:
    """Give a temporary name to write a long file to, which takes the place of `path` when the block ends well.

    Raises:
        OutputUnwritable: as `write_bytes`, or from inside the block.
    """
    temporary = _temporary_beside(path)
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
        finally:
            _remove(temporary)
    except OSError as error:
        raise OutputUnwritable(f"{path}: cannot be written: {error.strerror or error}") from error


def require_writable(folder: Path) -> None:
    """Make the folder and try a file in it, so that a long run fails at its start and not at its end.

    Raises:
        OutputUnwritable: the folder cannot be made or written to.
    """
    probe = _temporary_beside(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.touch()
        finally:
            _remove(probe)
    except OSError as error:
        raise OutputUnwritable(f"{folder}: cannot be written to: {error.strerror or error}") from error


def write_png(path: Path, picture_srgb: np.ndarray) -> None:
    """Put an (H, W, 3) uint8 sRGB picture, or one with alpha, at `path` as PNG, the same bytes for the same picture.

    Raises:
        OutputUnwritable: as `write_bytes`.
    """
    write_bytes(path, encode_png(picture_srgb))


def encode_png(picture_srgb: np.ndarray) -> bytes:
    """Return the PNG file of an (H, W, 3) uint8 sRGB picture, or of an (H, W, 4) one with alpha."""
    if picture_srgb.dtype != np.uint8 or picture_srgb.ndim != 3 or picture_srgb.shape[2] not in (3, 4):
        raise ValueError(
            f"a picture must be (height, width, 3 or 4) uint8, got {picture_srgb.shape} {picture_srgb.dtype}"
        )
    file = io.BytesIO()
    Image.fromarray(picture_srgb).save(file, format="PNG", compress_level=PNG_LEVEL)
    return file.getvalue()


def _temporary_beside(path: Path) -> Path:
    """A name in the same folder that no other file has."""
    return path.with_name(f".facefactor-{secrets.token_hex(8)}.partial")


def _remove(temporary: Path) -> None:
    """Delete the file if it is there; it is not where its folder could not be made."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        temporary.unlink()
