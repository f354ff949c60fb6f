# SPDX-License-Identifier: Apache-2.0
"""The files that a viewer can show: a photo, a face's JSON, or a folder of either.

The photo of a JSON is looked for by its name and size beside the JSON and in the two folders above, which is where it
is after `facefactor reconstruct p.jpg --out faces`, whose JSON is `faces/p/0.json`.
"""

import logging
from pathlib import Path

from facefactor.errors import AssetMissing, PhotoUnreadable
from facefactor.export.record import FaceRecord
from facefactor.photo.read import PHOTO_SUFFIXES, Photo, read_photo

MOST_SOURCES = 500
"""Files of a folder that the page offers."""
FOLDERS_UP = 2

logger = logging.getLogger(__name__)


def find_sources(path: Path) -> dict[str, Path]:
    """List the files to choose from by name: the file itself, or the faces and photos in a folder and below it.

    Pictures beside a JSON of the same name are left out: `reconstruct` wrote them.

    Raises:
        AssetMissing: there is no such file or folder, or the folder holds neither faces nor photos.
    """
    if not path.is_dir():
        if not path.exists():
            raise AssetMissing(f"{path}: no such file or folder")
        return {path.name: path}
    found = sorted(
        file
        for file in path.rglob("*")
        if is_face_file(file) or (file.suffix.lower() in PHOTO_SUFFIXES and not file.with_suffix(".json").exists())
    )
    if not found:
        raise AssetMissing(f"{path}: holds neither faces (.json) nor photos")
    if len(found) > MOST_SOURCES:
        logger.warning("%s: of %d files the first %d are shown", path, len(found), MOST_SOURCES)
    return {file.relative_to(path).as_posix(): file for file in found[:MOST_SOURCES]}


def is_face_file(path: Path) -> bool:
    """Whether a file is taken for a face's JSON rather than for a photo."""
    return path.suffix.lower() == ".json"


def find_photo(json_path: Path, record: FaceRecord) -> Photo | None:
    """The photo of a face's JSON, if a picture of its name and size is near; None otherwise."""
    folder = json_path.resolve().parent
    for place in (folder, *folder.parents[:FOLDERS_UP]):
        candidate = place / Path(record.photo_name).name
        if not candidate.is_file():
            continue
        try:
            photo = read_photo(candidate)
        except PhotoUnreadable as error:
            logger.info("%s", error)
            continue
        if (photo.width, photo.height) == (record.photo_width, record.photo_height):
            return photo
    return None
