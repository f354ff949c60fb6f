# SPDX-License-Identifier: Apache-2.0
"""The JSON file of one face, schema `facefactor.face/1`: what `reconstruct` writes and `edit` reads.

Numbers are kept to nine significant digits: they then return every float32 exactly, and a vertex projected with the
file's shape, K, R and t lands within 0.01 px of where the unrounded numbers put it, even in a photo of 12,000 px.
Keys come in one fixed order, so the same face gives the same bytes. NaN and infinity are refused both ways.

Layout (px and degrees of the original photo, turned upright as its EXIF says; head and camera frames as in
docs/conventions.md):

    schema, photo {name, width, height}, engine, weights_hash, model_hash, face_box_px {x, y, width, height},
    camera {K 3×3, R 3×3, t 3 (mm), euler_deg {yaw, pitch, roll}, distance_mm},
    shape 80, expression {ARKit name: weight in [0, 1]}, reflectance 80, illumination 9×3,
    geometry_corrective, reflectance_corrective, landmarks_68_px 68×2,
    quality {photometric, landmark_px, confidence in [0, 1]},
    seen, of an edited face alone: those of the arrays above that its photo shows otherwise, as they are there
"""

import json
import math
import reprlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facefactor.code.face_code import CORRECTIVE_PARTS, REFLECTANCE_SIZE, SHAPE_SIZE
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.export.atomic import write_bytes
from facefactor.light.spherical_harmonics import LARGEST_ILLUMINATION
from facefactor.photo.read import LARGEST_PHOTO_PIXELS

SCHEMA = "facefactor.face/1"
SIGNIFICANT_DIGITS = 9
LARGEST_COEFFICIENT = 20.0
"""Of shape, reflectance and their corrections, either sign: no face is so far from the mean."""
LARGEST = {
    **dict.fromkeys(("shape", "reflectance", *CORRECTIVE_PARTS), LARGEST_COEFFICIENT),
    "illumination": LARGEST_ILLUMINATION,
}
"""The record's arrays whose numbers are bounded, and by what, either sign."""
NEAREST_HEAD_MM = 100.0
"""Least depth of the head frame's origin: nearer, the camera would be inside the head."""
FARTHEST_HEAD_MM = 1e6
"""Largest of t's numbers, either sign: a head a kilometre away is no face."""
LARGEST_CAMERA_SIDES = 100.0
"""Largest of K's numbers, either sign, as a multiple of the photo's longer side; reconstructions have up to about 5."""
ROTATION_TOLERANCE = 1e-3
"""How far from the identity R Rᵀ may be."""
_ARRAY_SHAPES: dict[str, tuple[int | None, ...]] = {
    "shape": (SHAPE_SIZE,),
    "expression": (len(EXPRESSION_NAMES),),
    "reflectance": (REFLECTANCE_SIZE,),
    "illumination": (9, 3),
    "geometry_corrective": (None,),
    "reflectance_corrective": (None,),
    "landmarks_68_px": (68, 2),
}
"""Sizes of the record's arrays; None is any length."""


@dataclass(frozen=True)
class FaceBoxPx:
    """The face's box in the original photo, pixels; x and y are its top-left corner."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        for name in ("x", "y", "width", "height"):
            _set_checked_number(self, name, f"face_box_px.{name}")


@dataclass(frozen=True, eq=False)
class CameraRecord:
    """The original photo's camera: `x_camera = R x_head + t`, `pixel = K · (x, -y, -z)/(-z)`.

    Raises:
        ValueError: a part has a wrong size or a number that is not finite, K or R is none of a camera, or the head is
            not before it.
    """

    K: np.ndarray
    """(3, 3), pixels."""
    R: np.ndarray
    """(3, 3), head frame to camera frame."""
    t: np.ndarray
    """(3,), millimetres."""
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    distance_mm: float
    """From the camera to the head frame's origin."""

    def __post_init__(self) -> None:
        for name, shape in (("K", (3, 3)), ("R", (3, 3)), ("t", (3,))):
            _set_checked_array(self, name, shape, f"camera.{name}")
        if min(self.K[0, 0], self.K[1, 1]) <= 0.0 or self.K[2].tolist() != [0.0, 0.0, 1.0]:
            raise ValueError("camera.K: wanted positive focal lengths and the last row 0 0 1")
        if not _is_rotation(self.R):
            raise ValueError("camera.R: is no rotation")
        if self.t[2] > -NEAREST_HEAD_MM or np.abs(self.t).max() > FARTHEST_HEAD_MM:
            bounds = f"z below {-NEAREST_HEAD_MM:g} and no number beyond {FARTHEST_HEAD_MM:g} mm"
            raise ValueError(f"camera.t: wanted the head before the camera, {bounds}")
        for name in ("yaw_deg", "pitch_deg", "roll_deg", "distance_mm"):
            _set_checked_number(self, name, f"camera.{name}")


@dataclass(frozen=True)
class Quality:
    """How well the face explains the photo."""

    photometric: float
    """Mean ℓ2 distance of sRGB colours in [0, 1] over the visible skin of the face."""
    landmark_px: float
    """Mean distance of the 51 inner landmarks, projected and found, pixels of the original photo."""
    confidence: float
    """In [0, 1]."""

    def __post_init__(self) -> None:
        for name, highest in (("photometric", math.inf), ("landmark_px", math.inf), ("confidence", 1.0)):
            _set_checked_number(self, name, f"quality.{name}", lowest=0.0, highest=highest)


@dataclass(frozen=True, eq=False)
class FaceRecord:
    """One reconstructed face and the photo's camera; arrays are float64 copies that cannot be written to.

    Raises:
        ValueError: a part has a wrong size, a number that is not finite, an expression weight outside [0, 1], or a
            number beyond LARGEST.
    """

    photo_name: str
    photo_width: int
    photo_height: int
    engine: str
    weights_hash: str | None
    """Of the encoder's weights; None for an engine without any."""
    model_hash: str
    face_box_px: FaceBoxPx
    camera: CameraRecord
    shape: np.ndarray
    """(80,), standard deviations of the prior."""
    expression: np.ndarray
    """(52,), weights in [0, 1] in the order of EXPRESSION_NAMES."""
    reflectance: np.ndarray
    """(80,), standard deviations of the prior."""
    illumination: np.ndarray
    """(9, 3), spherical harmonics in the camera frame, per linear RGB channel."""
    geometry_corrective: np.ndarray
    """(C_g,), empty unless the engine is multi-level."""
    reflectance_corrective: np.ndarray
    """(C_r,), empty unless the engine is multi-level."""
    landmarks_68_px: np.ndarray
    """(68, 2), pixels of the original photo, iBUG order."""
    quality: Quality

    def __post_init__(self) -> None:
        if self.photo_width < 1 or self.photo_height < 1:
            raise ValueError(f"photo: the size must be positive, got {self.photo_width} x {self.photo_height}")
        if np.abs(self.camera.K).max() > LARGEST_CAMERA_SIDES * max(self.photo_width, self.photo_height):
            raise ValueError(f"camera.K: a number is more than {LARGEST_CAMERA_SIDES:g} times the photo's longer side")
        for name, shape in _ARRAY_SHAPES.items():
            _set_checked_array(self, name, shape, name)
        for name, largest in LARGEST.items():
            farthest = np.abs(getattr(self, name)).max(initial=0.0)
            if farthest > largest:
                raise ValueError(f"{name}: wanted numbers from {-largest:g} to {largest:g}, got one of {farthest:.4g}")
        if self.expression.min() < 0.0 or self.expression.max() > 1.0:
            raise ValueError(
                "expression: weights must lie in [0, 1], "
                f"got {self.expression.min():.4g} to {self.expression.max():.4g}"
            )


def write_face_record(path: Path, record: FaceRecord, seen: FaceRecord | None = None) -> None:
    """Write one face as JSON; the same record gives the same bytes.

    Args:
        path: of the file.
        record: of the face.
        seen: the face as its photo shows it, where the record was edited since.

    Raises:
        OutputUnwritable: the folder or file cannot be written.
    """
    write_bytes(path, encode_face_record(record, seen))


def encode_face_record(record: FaceRecord, seen: FaceRecord | None = None) -> bytes:
    """Return the JSON file of one face, a line for each of its keys; arguments as in `write_face_record`."""
    values = to_json_dict(record)
    if seen is not None:
        in_photo = to_json_dict(seen)
        edited = {name: in_photo[name] for name in _ARRAY_SHAPES if in_photo[name] != values[name]}
        values |= {"seen": edited} if edited else {}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def read_face_record(path: Path) -> FaceRecord:
    """Read one face's JSON and check every field; raises as `read_edited_record` does."""
    return read_edited_record(path)[0]


def read_edited_record(path: Path) -> tuple[FaceRecord, FaceRecord]:
    """Read one face's JSON: the face, and the face as its photo shows it, the same unless it was edited.

    Raises:
        AssetMissing: there is no such file.
        IncompatibleCode: not JSON, another schema, or a field that is missing, of a wrong size, not finite, or that no
            reconstruction makes.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise AssetMissing(f"{path}: cannot be read: {error.strerror or error}") from error
    except RecursionError:
        raise IncompatibleCode(f"{path}: not a JSON file: nested too deeply") from None
    except ValueError as error:
        raise IncompatibleCode(f"{path}: not a JSON file: {error}") from error
    try:
        record = from_json_dict(values)
        return record, _seen(values, record)
    except ValueError as error:
        raise IncompatibleCode(f"{path}: {error}") from error


def to_json_dict(record: FaceRecord) -> dict[str, Any]:
    """Return the record as JSON values in the file's key order, numbers rounded."""
    camera = record.camera
    values = {
        "schema": SCHEMA,
        "photo": {"name": record.photo_name, "width": record.photo_width, "height": record.photo_height},
        "engine": record.engine,
        "weights_hash": record.weights_hash,
        "model_hash": record.model_hash,
        "face_box_px": asdict(record.face_box_px),
        "camera": {
            "K": camera.K.tolist(),
            "R": camera.R.tolist(),
            "t": camera.t.tolist(),
            "euler_deg": {"yaw": camera.yaw_deg, "pitch": camera.pitch_deg, "roll": camera.roll_deg},
            "distance_mm": camera.distance_mm,
        },
        "shape": record.shape.tolist(),
        "expression": dict(zip(EXPRESSION_NAMES, record.expression.tolist(), strict=True)),
        "reflectance": record.reflectance.tolist(),
        "illumination": record.illumination.tolist(),
        "geometry_corrective": record.geometry_corrective.tolist(),
        "reflectance_corrective": record.reflectance_corrective.tolist(),
        "landmarks_68_px": record.landmarks_68_px.tolist(),
        "quality": asdict(record.quality),
    }
    return {key: _rounded(value) for key, value in values.items()}


def from_json_dict(values: Any) -> FaceRecord:
    """Build the record from parsed JSON.

    Raises:
        ValueError: another schema, a field that is missing or wrong, or a photo larger than any that can be read; the
            message starts with the field's name.
    """
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"schema: this facefactor reads {SCHEMA!r}, the file holds {reprlib.repr(schema)}")
    width, height = (_field(values, f"photo.{name}", int) for name in ("width", "height"))
    if width * height > LARGEST_PHOTO_PIXELS:
        raise ValueError(f"photo: the size is larger than the limit of {LARGEST_PHOTO_PIXELS // 1_000_000} megapixels")
    return FaceRecord(
        photo_name=_field(values, "photo.name", str),
        photo_width=width,
        photo_height=height,
        engine=_field(values, "engine", str),
        weights_hash=_field(values, "weights_hash", str | None),
        model_hash=_field(values, "model_hash", str),
        face_box_px=FaceBoxPx(
            **{name: _field(values, f"face_box_px.{name}") for name in ("x", "y", "width", "height")}
        ),
        camera=CameraRecord(
            **{name: _field(values, f"camera.{name}") for name in ("K", "R", "t", "distance_mm")},
            **{f"{name}_deg": _field(values, f"camera.euler_deg.{name}") for name in ("yaw", "pitch", "roll")},
        ),
        expression=_expression_weights(_field(values, "expression", dict)),
        **{name: _field(values, name) for name in _ARRAY_SHAPES if name != "expression"},
        quality=Quality(
            **{name: _field(values, f"quality.{name}") for name in ("photometric", "landmark_px", "confidence")}
        ),
    )


def _seen(values: dict[str, Any], record: FaceRecord) -> FaceRecord:
    """The record with the arrays of the file's key "seen", if it has one."""
    if "seen" not in values:
        return record
    arrays = dict(_field(values, "seen", dict))
    unknown = sorted(set(arrays) - set(_ARRAY_SHAPES))
    if unknown:
        raise ValueError(f"seen: unknown names: {', '.join(unknown)}")
    try:
        if "expression" in arrays:
            arrays["expression"] = _expression_weights(_field(arrays, "expression", dict))
        seen = replace(record, **arrays)
        for name in CORRECTIVE_PARTS:
            wanted, got = (len(getattr(face, name)) for face in (record, seen))
            if got != wanted:
                raise ValueError(f"{name}: wanted {wanted} numbers as in the face itself, got {got}")
        return seen
    except ValueError as error:
        raise ValueError(f"seen: {error}") from error


def _field(values: dict[str, Any], path: str, kind: Any = object) -> Any:
    """Return the value at a dotted path such as "camera.K"; ValueError names the path."""
    value: Any = values
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            raise ValueError(f"{path}: missing")
        value = value[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{path}: wanted {getattr(kind, '__name__', kind)}, got {reprlib.repr(value):.60}")
    return value


def _expression_weights(weights: dict[str, Any]) -> np.ndarray:
    """Return the weights in the order of EXPRESSION_NAMES; the names must be exactly those."""
    wrong = sorted(set(weights) ^ set(EXPRESSION_NAMES))
    if wrong:
        raise ValueError(f"expression: missing or unknown names: {', '.join(wrong)}")
    return np.array([weights[name] for name in EXPRESSION_NAMES], dtype=object)


def _set_checked_array(record: Any, name: str, shape: tuple[int | None, ...], label: str) -> None:
    """Replace a frozen record's array by a read-only float64 copy of the wanted size."""
    wanted = " x ".join("any number of" if size is None else str(size) for size in shape)
    try:
        items = np.array(getattr(record, name), dtype=object)
        _refuse_words(items.flat)
        array = items.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{label}: wanted {wanted} numbers") from error
    if len(array.shape) != len(shape) or any(
        size not in (None, got) for size, got in zip(shape, array.shape, strict=True)
    ):
        raise ValueError(f"{label}: wanted {wanted} numbers, got {' x '.join(map(str, array.shape)) or 'one'}")
    if not np.isfinite(array).all():
        raise ValueError(f"{label}: holds NaN or infinity")
    array.setflags(write=False)
    object.__setattr__(record, name, array)


def _set_checked_number(
    record: Any, name: str, label: str, lowest: float = -math.inf, highest: float = math.inf
) -> None:
    """Replace a frozen record's number by a finite Python float within the bounds."""
    value = getattr(record, name)
    try:
        _refuse_words([value])
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{label}: wanted a number, got {reprlib.repr(value):.60}") from error
    if not math.isfinite(number) or not lowest <= number <= highest:
        raise ValueError(f"{label}: wanted a finite number from {lowest} to {highest}, got {number}")
    object.__setattr__(record, name, number)


def _refuse_words(items: Iterable[Any]) -> None:
    """Raise TypeError for truth values and texts, which Python and numpy would take for numbers."""
    if any(isinstance(item, bool | str) for item in items):
        raise TypeError("truth values and texts are no numbers")


def _is_rotation(R: np.ndarray) -> bool:
    """Tell a rotation from other (3, 3) matrices; its entries are looked at first, since huge ones would overflow."""
    if np.abs(R).max() > 1.0 + ROTATION_TOLERANCE:
        return False
    return bool(np.abs(R @ R.T - np.eye(3)).max() <= ROTATION_TOLERANCE and np.linalg.det(R) > 0.0)


def _rounded(value: Any) -> Any:
    """Round every float inside a JSON value; negative zero becomes zero."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
