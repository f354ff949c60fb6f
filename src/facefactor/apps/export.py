# SPDX-License-Identifier: Apache-2.0
"""`facefactor export`: a face's JSON in, its head as GLB, OBJ, PLY or USD out.

All files of a call appear together, or none does. Standard output gets one line that names them, and what the texture
was painted from.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from facefactor.apps.described_head import described_head, model_of
from facefactor.errors import IncompatibleCode, PhotoUnreadable
from facefactor.export.atomic import write_together
from facefactor.export.glb import GlbMesh, encode_glb
from facefactor.export.obj import encode_obj
from facefactor.export.ply import encode_ply
from facefactor.export.record import FaceRecord, read_face_record
from facefactor.export.usd import encode_usd
from facefactor.photo.read import Photo, read_photo

logger = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> int:
    """Export the face of the command line and return the exit code.

    Raises:
        AssetMissing: the JSON is not there.
        IncompatibleCode: it is no face of this version, or one of another face model.
        PhotoUnreadable: the photo cannot be read, or is not the one that the face was found in.
        MissingExtra: a format needs something that is not installed.
        OutputUnwritable: a file cannot be written.
    """
    record = read_face_record(options.face)
    try:
        model = model_of(record, options.model)
    except IncompatibleCode as error:
        raise IncompatibleCode(f"{options.face}: {error}") from error
    photo = find_photo(record, options.face, options.photo)
    mesh = described_head(record, model, photo, options.texture)
    write_together(encode_heads(options.out, mesh))
    source = "the numbers alone" if photo is None else str(photo.path)
    print(f"{options.face} → {' '.join(map(str, options.out))} (texture {options.texture} px, from {source})")
    return 0


def find_photo(record: FaceRecord, face_path: Path, named: Path | None) -> Photo | None:
    """Read the photo that a face was reconstructed from.

    Args:
        record: of the face.
        face_path: its JSON.
        named: the photo; None looks for the record's in the JSON's folder, the two folders above it, and the one where
            the command runs, and takes one of the right size.

    Returns:
        The photo; None when no one named it and it was not found.

    Raises:
        PhotoUnreadable: the named photo cannot be read, or has another size than the record's.
    """
    if named is not None:
        photo = read_photo(named)
        if not _has_size_of(photo, record):
            raise PhotoUnreadable(
                f"{named}: is {photo.width} x {photo.height} pixels, the photo that {face_path} describes was "
                f"{record.photo_width} x {record.photo_height}"
            )
        return photo
    folders = (*face_path.absolute().parents[:3], Path())
    for path in (folder / record.photo_name for folder in folders):
        if path.is_file():
            photo = read_photo(path)
            if _has_size_of(photo, record):
                return photo
            logger.warning("%s: passed over, it has another size than the photo that %s describes", path, face_path)
    return None


def encode_heads(paths: Sequence[Path], mesh: GlbMesh) -> dict[Path, bytes]:
    """Make the files of a head, and those that belong to them.

    Args:
        paths: each ending in .glb, .obj, .ply, .usdz or .usda, in any case.
        mesh: the head.

    Raises:
        MissingExtra: USD is wanted, and usd-core is not installed.
        ValueError: a path ends in something else.
    """
    contents: dict[Path, bytes] = {}
    for path in paths:
        match path.suffix.lower():
            case ".glb":
                contents[path] = encode_glb(mesh)
            case ".obj":
                contents |= encode_obj(path, mesh)
            case ".ply":
                contents[path] = encode_ply(mesh)
            case ".usdz" | ".usda":
                contents |= encode_usd(path, mesh)
            case suffix:
                raise ValueError(f"{path}: no head can be written as {suffix or 'a file without an ending'}")
    return contents


def _has_size_of(photo: Photo, record: FaceRecord) -> bool:
    return (photo.width, photo.height) == (record.photo_width, record.photo_height)
