# SPDX-License-Identifier: Apache-2.0
"""The Python interface: photos to faces, and what can be done with a face. `import facefactor` gives all of it.

    faces = facefactor.reconstruct("me.jpg")
    faces[0].relight("sunset")                                   the photo under another light
    faces[0].with_expression(jawOpen=0.6).picture()              the photo with an opened mouth
    faces[0].export("me.glb")

A face is a record of numbers with the photo that it was seen in. Faces never change: each `with_…` gives a copy.
"""

import contextlib
import dataclasses
import difflib
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facefactor.apps.cli import DEFAULT_ENGINE, ENGINES, TEXTURE_SIZES_PX
from facefactor.apps.described_head import described_head
from facefactor.apps.engines import face_model_of, open_engine, open_face_model
from facefactor.apps.reconstruction import TEXTURE_SIZE_PX, Reconstructor
from facefactor.camera.pose import matrix_from_euler_deg
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.edit.composite import composite, draw_head
from facefactor.edit.head_surface import HeadSurface
from facefactor.edit.posed_head import PosedHead, code_of, landmarks68_px, pose_head
from facefactor.edit.relight import match_exposure
from facefactor.errors import IncompatibleCode, PhotoUnreadable
from facefactor.export.atomic import write_together
from facefactor.export.glb import GlbMesh
from facefactor.export.head_files import encode_heads
from facefactor.export.record import FaceRecord, read_edited_record, write_face_record
from facefactor.face.model import FaceModel, load_face_model
from facefactor.infer.decoder import Decoder
from facefactor.light.source import light_from_direction, light_from_text
from facefactor.light.spherical_harmonics import rotate_light
from facefactor.photo.read import Photo, photo_from_array, read_photo

Light = str | os.PathLike[str] | tuple[float, float] | np.ndarray
"""A light's name or file, see `light.source`; azimuth and elevation in degrees; or (9, 3) spherical harmonics."""


def reconstruct(
    source: str | os.PathLike[str] | np.ndarray | Photo,
    faces: Literal["largest", "all"] = "largest",
    *,
    engine: str = DEFAULT_ENGINE,
    refine: bool = False,
    learned: str | os.PathLike[str] | None = None,
) -> list["Face"]:
    """Find the faces of a photo and describe them.

    Args:
        source: an image file; pixels as `photo.photo_from_array` takes them, such as (height, width, 3) uint8 RGB; or a
            photo that was read.
        faces: the largest face alone, or all, the largest first.
        engine: see `facefactor reconstruct --help`.
        refine: search on from the engine's answer by a short fit; needs torch.
        learned: a face model with its encoder that `facefactor model learn` wrote, to answer in place of the engine.

    Raises:
        AssetMissing, IncompatibleCode: the learned face model is not there, or is none.
        PhotoUnreadable: the file is no photo that can be read.
        NoFaceFound: it shows no face.
        ValueError: the pixels have another shape, type or range, or there is no such engine.
        MissingExtra: the engine needs something that is not installed.
    """
    photo = _photo_of(source)
    file = None if learned is None else Path(learned)
    records = _open_reconstructor(engine, refine, file).records(photo, faces)
    return [Face(record, photo, record, file) for record in records]


def load_face(
    path: str | os.PathLike[str],
    photo: str | os.PathLike[str] | None = None,
    learned: str | os.PathLike[str] | None = None,
) -> "Face":
    """Read a face that `facefactor reconstruct` or `Face.save` wrote.

    Args:
        path: of the JSON file.
        photo: of the photo that it is from; by default one of that name and size beside the file or in the two folders
            above it, and none if there is none.
        learned: the learned face model that the face is of, if it is of none that ships.

    Raises:
        AssetMissing: the file is not there.
        IncompatibleCode: it is no face of this version, one of another face model, or the photo has another size than
            the face's photo had.
        PhotoUnreadable: the photo cannot be read.
    """
    path = Path(path)
    record, seen = read_edited_record(path)
    file = None if learned is None else Path(learned)
    try:
        face_model_of(record, file)
    except IncompatibleCode as error:
        raise IncompatibleCode(f"{path}: {error}") from error
    if photo is None:
        return Face(record, _photo_beside(path, record), seen, file)
    named = read_photo(photo)
    if not _has_size_of(named, record):
        sizes = f"{named.width} x {named.height}, the face's was {record.photo_width} x {record.photo_height}"
        raise IncompatibleCode(f"{photo}: is not the photo of {path}: it is {sizes}")
    return Face(record, named, seen, file)


@dataclass(frozen=True, eq=False)
class Face:
    """One face: what is known of it, the photo that shows it, and what the photo shows."""

    record: FaceRecord
    """Every number, in the photo's camera; see `export.record`."""
    photo: Photo | None
    """None where it is not known: then pictures show the head alone."""
    seen: FaceRecord
    """The face as it is in the photo, before any `with_…`."""
    learned: Path | None = None
    """The learned face model that the numbers are of; None for one that ships."""

    @property
    def expression(self) -> dict[str, float]:
        """The 52 ARKit weights by name, in [0, 1]."""
        return dict(zip(EXPRESSION_NAMES, self.record.expression.tolist(), strict=True))

    @property
    def illumination(self) -> np.ndarray:
        """(9, 3) spherical harmonics of the light, linear RGB, the photo's camera frame."""
        return self.record.illumination

    @property
    def vertices_mm(self) -> np.ndarray:
        """(V, 3) native vertices with the face's expression, head frame, millimetres."""
        code = code_of(self.record)
        return self._tools.decoder.vertices(code.full_shape[None], code.expression[None])[0]

    @property
    def triangles(self) -> np.ndarray:
        """(F, 3) ids into `vertices_mm`, counter-clockwise seen from outside."""
        return self._tools.model.triangles.copy()

    @property
    def albedo_linear(self) -> np.ndarray:
        """(V, 3) linear RGB at `vertices_mm`."""
        return self._posed(self.record).albedo_linear[: self._tools.model.num_vertices]

    def with_expression(self, weights: Mapping[str, float] | None = None, **named: float) -> "Face":
        """Copy with some of the 52 weights changed, such as `with_expression(jawOpen=0.6)`.

        Raises:
            ValueError: a name is none of ARKit's, or a weight is outside [0, 1].
        """
        expression = self.record.expression.copy()
        for name, weight in {**(weights or {}), **named}.items():
            if name not in EXPRESSION_NAMES:
                likely = difflib.get_close_matches(name, EXPRESSION_NAMES, n=3) or EXPRESSION_NAMES
                raise ValueError(f"no expression is called {name!r}: there is {', '.join(likely)}")
            if not 0.0 <= weight <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {weight}")
            expression[EXPRESSION_NAMES.index(name)] = weight
        return self._with_geometry(expression=expression)

    def with_shape(self, coefficients: Mapping[int, float]) -> "Face":
        """Copy with some of the 80 shape coefficients changed, by number, in standard deviations.

        Raises:
            ValueError: a number is not below 80, or a coefficient is beyond `export.record.LARGEST_COEFFICIENT`.
        """
        shape = self.record.shape.copy()
        for number, value in coefficients.items():
            if number not in range(len(shape)):
                raise ValueError(f"shape coefficients are numbered 0 to {len(shape) - 1}, got {number}")
            shape[number] = value
        return self._with_geometry(shape=shape)

    def with_shape_of(self, other: "Face") -> "Face":
        """Copy with another face's shape.

        Raises:
            IncompatibleCode: the faces are of different face models.
        """
        self._require_same_model(other)
        record = other.record
        return self._with_geometry(shape=record.shape, geometry_corrective=record.geometry_corrective)

    def with_reflectance_of(self, other: "Face") -> "Face":
        """Copy with another face's skin.

        Raises:
            IncompatibleCode: the faces are of different face models.
        """
        self._require_same_model(other)
        record = other.record
        return self._with(reflectance=record.reflectance, reflectance_corrective=record.reflectance_corrective)

    def with_light(self, light: Light, keep_exposure: bool = True, turn_deg: float = 0.0) -> "Face":
        """Copy under another light.

        Args:
            light: see `Light`; its "left" and azimuths are those of the image.
            keep_exposure: make it as bright on the face as the photo's, and white where that is; a panorama's light is
                then white on average. Else it is taken as it is, in units of the albedo.
            turn_deg: turns it about the vertical, to image right.

        Raises:
            ValueError: it names no light, or has another shape.
            AssetMissing, MissingExtra: see `light.source.light_from_text`.
        """
        illumination = rotate_light(
            _light_of(light, keep_exposure), matrix_from_euler_deg(np.array([turn_deg, 0.0, 0.0]))
        )
        head = dataclasses.replace(self._posed(self.record), illumination=illumination)
        if keep_exposure:
            head = match_exposure(head, self._posed(self.seen), self._tools.surface)
        return self._with(illumination=head.illumination)

    def relight(self, light: Light, keep_exposure: bool = True, turn_deg: float = 0.0) -> np.ndarray:
        """The photo under another light: `with_light(…).picture()`."""
        return self.with_light(light, keep_exposure, turn_deg).picture()

    def picture(self) -> np.ndarray:
        """The photo with the face as it is now, (height, width, 3) uint8 sRGB.

        Where the face is as the photo shows it, that is the photo. Without a photo it is the head alone before black.
        """
        photo, K, surface = self.photo, self.record.camera.K, self._tools.surface
        after = self._posed(self.record)
        if photo is None:
            return draw_head(after, K, surface, (self.record.photo_height, self.record.photo_width))
        return composite(photo, K, surface, self._posed(self.seen), after)

    def export(self, path: str | os.PathLike[str], texture_px: int = TEXTURE_SIZE_PX) -> None:
        """Write the head: .glb, .usdz or .usda with its expressions as morphs, .obj or .ply with its own expression.

        Args:
            path: of the file; what belongs to it is written beside it.
            texture_px: see `head`.

        Raises:
            MissingExtra: USD is wanted, and usd-core is not installed.
            OutputUnwritable: the file cannot be written, or has another suffix.
            ValueError: see `head`.
        """
        write_together(encode_heads([Path(path)], self.head(texture_px)))

    def head(self, texture_px: int = TEXTURE_SIZE_PX) -> GlbMesh:
        """The head as it is exported: subdivided, with the 52 expressions as morphs.

        Its texture carries the photo's detail; see docs/export.md.

        Args:
            texture_px: width and height of the texture, 64 to 4096.

        Raises:
            ValueError: the texture has another size.
        """
        low, high = TEXTURE_SIZES_PX
        if not low <= texture_px <= high:
            raise ValueError(f"a texture has {low} to {high} pixels a side, got {texture_px}")
        return described_head(self.record, self._tools.model, self.photo, texture_px, self.seen)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write every number as JSON, as `facefactor reconstruct` does; of an edited face also what the photo shows.

        Raises:
            OutputUnwritable: the file cannot be written.
        """
        write_face_record(Path(path), self.record, self.seen)

    @property
    def _tools(self) -> "_Tools":
        return _open_tools(self.record.model_hash, self.learned)

    def _posed(self, record: FaceRecord) -> PosedHead:
        return pose_head(self._tools.model, self._tools.decoder, code_of(record))

    def _with(self, **changed: Any) -> "Face":
        return dataclasses.replace(self, record=dataclasses.replace(self.record, **changed))

    def _with_geometry(self, **changed: Any) -> "Face":
        """Copy whose landmarks follow what is changed."""
        face = self._with(**changed)
        code, K = code_of(face.record), face.record.camera.K
        return face._with(landmarks_68_px=landmarks68_px(self._tools.decoder, code, K))

    def _require_same_model(self, other: "Face") -> None:
        if other.record.model_hash != self.record.model_hash:
            models = f"{other.record.model_hash} and {self.record.model_hash}"
            raise IncompatibleCode(f"the faces are of different face models, {models}: reconstruct both by one engine")


@dataclass(frozen=True, eq=False)
class _Tools:
    """What all faces of one face model share."""

    model: FaceModel
    decoder: Decoder[np.ndarray]
    surface: HeadSurface


@functools.lru_cache(maxsize=4)
def _open_tools(model_hash: str, learned: Path | None) -> _Tools:
    model = open_face_model(model_hash, learned)
    return _Tools(model, Decoder.of(model), HeadSurface.of(model))


@functools.lru_cache(maxsize=2)
def _open_reconstructor(engine: str, refine: bool, learned: Path | None) -> Reconstructor:
    if engine not in ENGINES:
        raise ValueError(f"no engine is called {engine!r}: there is {', '.join(ENGINES)}")
    return Reconstructor(engine=open_engine(engine, load_face_model(), refine, learned=learned))


def _photo_of(source: str | os.PathLike[str] | np.ndarray | Photo) -> Photo:
    if isinstance(source, Photo):
        return source
    return photo_from_array(source, "array") if isinstance(source, np.ndarray) else read_photo(source)


def _photo_beside(path: Path, record: FaceRecord) -> Photo | None:
    """The photo of a face's file, if one of its name and size lies where `reconstruct` may have left the file."""
    name = Path(record.photo_name).name  # a file from elsewhere may name any path
    for folder in list(path.absolute().parents)[:3]:
        if os.path.isfile(folder / name):
            with contextlib.suppress(PhotoUnreadable):
                photo = read_photo(folder / name)
                if _has_size_of(photo, record):
                    return photo
    return None


def _has_size_of(photo: Photo, record: FaceRecord) -> bool:
    return (photo.width, photo.height) == (record.photo_width, record.photo_height)


def _light_of(light: Light, white_balanced: bool) -> np.ndarray:
    if isinstance(light, str | os.PathLike):
        return light_from_text(os.fspath(light), white_balanced)
    if isinstance(light, np.ndarray):
        if light.shape != (9, 3) or not np.isfinite(light).all():
            raise ValueError(f"a light is (9, 3) finite spherical harmonics, got {light.shape}")
        return light.astype(np.float64)
    try:
        azimuth_deg, elevation_deg = map(float, light)
    except (TypeError, ValueError):
        raise ValueError(f"a light is a name, a file, two angles or an array, got {light!r}") from None
    return light_from_direction(azimuth_deg, elevation_deg)
