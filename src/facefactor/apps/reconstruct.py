# SPDX-License-Identifier: Apache-2.0
"""`facefactor reconstruct`: photos in, for each face a JSON record, a textured GLB head and a row of pictures out.

Photos are done one after the other. A photo that fails costs one line on stderr and exit code 1 and leaves no file; a
face's three files appear together, once all three are made, so stopping the run leaves whole faces only. Standard
output gets a line for each finished photo that names its files, or with --json a line of JSON for each face.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Literal

from facefactor.apps.cli import EXIT_PHOTO_FAILED
from facefactor.apps.engines import open_engine
from facefactor.apps.outputs import FacePaths, name_folders
from facefactor.apps.reconstruction import Reconstruction, Reconstructor
from facefactor.errors import PhotoError
from facefactor.export.atomic import encode_png, require_writable, write_together
from facefactor.export.glb import encode_glb
from facefactor.export.record import encode_face_record
from facefactor.face.model import load_face_model
from facefactor.photo.read import read_photo


def run(options: argparse.Namespace) -> int:
    """Reconstruct every photo of the command line and return the exit code.

    Raises:
        OutputUnwritable: the output folder, or a file in it, cannot be written.
        MissingExtra: the engine or the landmark detector needs something that is not installed.
        AssetMissing: the engine's weights are not there.
    """
    require_writable(options.out)
    model = load_face_model()
    reconstructor = Reconstructor(model, open_engine(options.engine, model, options.refine, learned=options.model))
    failures = 0
    for photo_path, folder in zip(options.photos, name_folders(options.photos), strict=True):
        start = time.perf_counter()
        try:
            faces = reconstruct_file(reconstructor, photo_path, options.out / folder, options.faces)
        except PhotoError as error:
            print(f"facefactor: {error}", file=sys.stderr, flush=True)
            failures += 1
            continue
        report = _json_lines(photo_path, faces) if options.json else _line(photo_path, faces, start)
        print(report, flush=True)
    return EXIT_PHOTO_FAILED if failures else 0


def reconstruct_file(
    reconstructor: Reconstructor, photo_path: Path, folder: Path, which: Literal["largest", "all"]
) -> list[tuple[FacePaths, Reconstruction]]:
    """Reconstruct one photo file and write its faces to a folder.

    Raises:
        PhotoUnreadable: the file is no photo that can be read.
        NoFaceFound: it shows no face.
        OutputUnwritable: a file cannot be written.
    """
    reconstructions = reconstructor.reconstruct(read_photo(photo_path), which)
    faces = [(FacePaths.of(folder, index), face) for index, face in enumerate(reconstructions)]
    for paths, face in faces:
        write_face(paths, face)
    return faces


def write_face(paths: FacePaths, face: Reconstruction) -> None:
    """Write one face's three files, all or none.

    Raises:
        OutputUnwritable: a file cannot be written.
    """
    write_together(
        {
            paths.glb: encode_glb(face.mesh),
            paths.png: encode_png(face.row_srgb),
            paths.json: encode_face_record(face.record),
        }
    )


def _line(photo_path: Path, faces: list[tuple[FacePaths, Reconstruction]], start: float) -> str:
    files = " ".join(str(path) for paths, _ in faces for path in paths)
    return f"{photo_path} → {files} ({time.perf_counter() - start:.1f} s)"


def _json_lines(photo_path: Path, faces: list[tuple[FacePaths, Reconstruction]]) -> str:
    lines = []
    for index, (paths, face) in enumerate(faces):
        entry = {
            "photo": str(photo_path),
            "face": index,
            "json": str(paths.json),
            "glb": str(paths.glb),
            "png": str(paths.png),
            "confidence": face.record.quality.confidence,
        }
        lines.append(json.dumps(entry))
    return "\n".join(lines)
