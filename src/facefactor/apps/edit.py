# SPDX-License-Identifier: Apache-2.0
"""`facefactor relight` and `facefactor edit`: a photo under another light, or with its face changed (no torch).

Both are `facefactor.api` on the command line. What is written follows the file's ending: .png the picture, .json the
edited face's numbers, what heads are exported as its head.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facefactor.api import Face, load_face, reconstruct
from facefactor.apps.cli import HEAD_SUFFIXES
from facefactor.errors import WrongArgument
from facefactor.export.atomic import encode_png, write_png, write_together
from facefactor.export.head_files import encode_heads
from facefactor.export.record import encode_face_record
from facefactor.photo.read import Photo, read_photo, with_alpha

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
    for face in reconstruct(photo, options.faces, engine=options.engine, learned=options.model):
        face = dataclasses.replace(face, photo=photo)  # with the faces before it relit
        photo = dataclasses.replace(photo, srgb=_relit(face, options).picture())
    write_png(options.out, _with_its_alpha(photo.srgb, photo))
    print(f"{options.photo} → {options.out}")
    return 0


def run_edit(options: argparse.Namespace) -> int:
    """Change a face and write what the options name: all of it, or nothing.

    Raises:
        AssetMissing, IncompatibleCode: a face's file is not there or of another version, or faces are of different
            face models.
        PhotoUnreadable: the photo cannot be read.
        WrongArgument: there is no such expression, coefficient or light.
        OutputUnwritable: a file cannot be written.
    """
    for path in options.out:
        _check_suffix(path, OUTPUTS)
    if options.light is None and (options.turn or options.as_strong_as_it_is):
        raise WrongArgument(
            f"{'--turn' if options.turn else '--as-strong-as-it-is'} is about a light: name one by --light"
        )
    face = load_face(options.face, options.photo, options.model)
    if options.shape_from:
        face = face.with_shape_of(load_face(options.shape_from, learned=options.model))
    if options.reflectance_from:
        face = face.with_reflectance_of(load_face(options.reflectance_from, learned=options.model))
    if options.shape:
        face = _changed(
            face.with_shape, {_number(name): value for name, value in _assignments(options.shape)}, "--shape"
        )
    if options.expression:
        face = _changed(face.with_expression, dict(_assignments(options.expression)), "--expression")
    if options.light is not None:
        face = _relit(face, options)
    contents: dict[Path, bytes] = {}
    for path in options.out:
        made = _encode(face, path)
        if twice := contents.keys() & made.keys():
            raise WrongArgument(f"--out {min(twice)}: is written twice, since {path} comes with a file of that name")
        contents |= made
    shown = [str(path) for path in options.out if path.suffix.lower() != ".json"]
    if face.photo is None and shown:
        name, files = face.record.photo_name, " ".join(shown)
        print(
            f"facefactor: {name} is not found, so {files} shows the numbers' head alone; see --photo", file=sys.stderr
        )
    write_together(contents)
    print(f"{options.face} → {' '.join(map(str, options.out))}")
    return 0


def _relit(face: Face, options: argparse.Namespace) -> Face:
    light, keep_exposure = options.light, not options.as_strong_as_it_is
    return _changed(lambda light: face.with_light(light, keep_exposure, options.turn), light, "--light")


def _changed(change: Callable[[Any], Face], value: Any, option: str) -> Face:
    """Apply a change; what makes no sense of it is the option's mistake."""
    try:
        return change(value)
    except ValueError as error:
        raise WrongArgument(f"{option} {error}") from None


def _encode(face: Face, path: Path) -> dict[Path, bytes]:
    """The file of an output, and what belongs to it."""
    if path.suffix.lower() == ".json":
        return {path: encode_face_record(face.record, face.seen)}
    if path.suffix.lower() in HEAD_SUFFIXES:
        return encode_heads([path], face.head())
    return {path: encode_png(_with_its_alpha(face.picture(), face.photo))}


def _with_its_alpha(picture_srgb: np.ndarray, photo: Photo | None) -> np.ndarray:
    """A picture as transparent as its photo."""
    return picture_srgb if photo is None or photo.alpha is None else with_alpha(picture_srgb, photo.alpha)


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
