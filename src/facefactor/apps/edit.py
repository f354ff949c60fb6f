# SPDX-License-Identifier: Apache-2.0
"""`facefactor relight` and `facefactor edit`: a photo under another light, or with its face changed (no torch).

Both are `facefactor.api` on the command line. What is written follows the file's ending: .png the picture, .json the
edited face's numbers, what heads are exported as its head.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from facefactor.api import Face, load_face, reconstruct
from facefactor.apps.cli import HEAD_SUFFIXES
from facefactor.errors import WrongArgument
from facefactor.export.atomic import write_png
from facefactor.photo.read import photo_from_array, read_photo

OUTPUTS = (".png", ".json", *HEAD_SUFFIXES)


def run_relight(options: argparse.Namespace) -> int:
    """Relight the faces of a photo, one after the other.

    Raises:
        PhotoError: the photo cannot be read, or shows no face.
        WrongArgument: the light is none.
        AssetMissing, MissingExtra: the light's file cannot be read.
        OutputUnwritable: the picture cannot be written.
    """
    _check_suffix(options.out, (".png",))
    photo = read_photo(options.photo)
    for face in reconstruct(photo, options.faces, engine=options.engine):
        face = dataclasses.replace(face, photo=photo)  # with the faces before it relit
        photo = photo_from_array(_relit(face, options).picture(), photo.name)
    write_png(options.out, photo.srgb)
    print(f"{options.photo} → {options.out}")
    return 0


def run_edit(options: argparse.Namespace) -> int:
    """Change a face and write what the options name.

    Raises:
        AssetMissing, IncompatibleCode: a face's file is not there or of another version, or faces are of different
            face models.
        PhotoUnreadable: the photo cannot be read.
        WrongArgument: there is no such expression, coefficient or light.
        OutputUnwritable: a file cannot be written.
    """
    for path in options.out:
        _check_suffix(path, OUTPUTS)
    face = load_face(options.face, options.photo)
    if options.shape_from:
        face = face.with_shape_of(load_face(options.shape_from))
    if options.reflectance_from:
        face = face.with_reflectance_of(load_face(options.reflectance_from))
    try:
        face = face.with_shape({_number(name): value for name, value in _assignments(options.shape)})
        face = face.with_expression(dict(_assignments(options.expression)))
    except ValueError as error:
        raise WrongArgument(str(error)) from None
    if options.light is not None:
        face = _relit(face, options)
    for path in options.out:
        _write(face, path)
    print(f"{options.face} → {' '.join(map(str, options.out))}")
    return 0


def _relit(face: Face, options: argparse.Namespace) -> Face:
    try:
        return face.with_light(options.light, not options.as_strong_as_it_is, options.turn)
    except ValueError as error:
        raise WrongArgument(f"--light {error}") from None


def _write(face: Face, path: Path) -> None:
    if path.suffix.lower() == ".json":
        face.save(path)
    elif path.suffix.lower() in HEAD_SUFFIXES:
        face.export(path)
    else:
        if face.photo is None:
            name = face.record.photo_name
            print(f"facefactor: {name} is not found, so {path} shows the head alone; see --photo", file=sys.stderr)
        write_png(path, face.picture())


def _assignments(texts: Sequence[str]) -> list[tuple[str, float]]:
    """Read NAME=VALUE."""
    found = []
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found.append((name, float(value)))
        except ValueError:
            raise WrongArgument(f"{text!r} is not NAME=VALUE with a number") from None
    return found


def _number(name: str) -> int:
    if not name.isdecimal():
        raise WrongArgument(f"{name!r} is no number of a shape coefficient")
    return int(name)


def _check_suffix(path: Path, allowed: Sequence[str]) -> None:
    if path.suffix.lower() not in allowed:
        raise WrongArgument(f"--out {path}: its name must end in {', '.join(allowed)}")
