# SPDX-License-Identifier: Apache-2.0
"""The files that a viewer can show: a photo, a face's JSON, or a folder of either."""

import logging
import os
from pathlib import Path

from facefactor.errors import AssetMissing
from facefactor.paths import why_missing
from facefactor.photo.read import PHOTO_SUFFIXES

MOST_SOURCES = 500
"""Files of a folder that the page offers."""

logger = logging.getLogger(__name__)


def find_sources(path: Path) -> dict[str, Path]:
    """List the files to choose from by name: the file itself, or the faces and photos in a folder and below it.

    Pictures beside a JSON of the same name are left out: `reconstruct` wrote them.

    Raises:
        AssetMissing: there is no such file or folder, or the folder holds neither faces nor photos.
    """
    if reason := why_missing(path, "file or folder"):
        raise AssetMissing(f"{path}: {reason}")
    if not path.is_dir():
        return {path.name: path}
    found = sorted(
        file
        for file in path.rglob("*")
        if is_face_file(file)
        or (file.suffix.lower() in PHOTO_SUFFIXES and not os.path.exists(file.with_suffix(".json")))
    )
    if not found:
        raise AssetMissing(f"{path}: holds neither faces (.json) nor photos")
    if len(found) > MOST_SOURCES:
        logger.warning("%s: of %d files the first %d are shown", path, len(found), MOST_SOURCES)
    return {file.relative_to(path).as_posix(): file for file in found[:MOST_SOURCES]}


def is_face_file(path: Path) -> bool:
    """Whether a file is taken for a face's JSON rather than for a photo."""
    return path.suffix.lower() == ".json"
