# SPDX-License-Identifier: Apache-2.0
"""`facefactor evaluate geometry`: what every engine makes of photos of scanned faces, against the scans."""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from facefactor.apps.engines import MULTILEVEL, open_engine
from facefactor.apps.progress import Progress
from facefactor.apps.reconstruction import CROP_SIZE_PX, Reconstructor
from facefactor.code.face_code import FaceCode
from facefactor.errors import AssetMissing, PhotoError
from facefactor.evaluate.geometry import GROUPS, ScannedPhoto, geometry_error, scanned_photos
from facefactor.evaluate.shape_fit import ModelSurface
from facefactor.evaluate.tables import Table, write_tables
from facefactor.face.model import FaceModel, load_face_model
from facefactor.fit.engine import RefiningEngine
from facefactor.photo.cropped_face import CroppedFace
from facefactor.photo.read import read_photo

COLUMNS = ("face", "photos", "by landmarks, mm", "by surface, mm", "by surface and size, mm")


@dataclass(frozen=True)
class Method:
    """A way from a photo to a face, as a row of the report."""

    surface: ModelSurface
    describe: Callable[[CroppedFace], FaceCode[np.ndarray]]


def evaluate_geometry(data: Path, out: Path, learned: Path | None = None) -> int:
    """Measure the mean face and the engines, each also refined where that is named, on photos of scanned faces.

    Args:
        data: folder that holds scans/rendered/, real_scans/ and heads/.
        out: folder of the report.
        learned: a learned face model with its encoder, in place of the shipped one.

    Raises:
        AssetMissing: there are no such photos, or none shows a face; or an engine's weights are not there.
        MissingExtra, IncompatibleCode: see `engines.open_engine`.
        OutputUnwritable: the report cannot be written.
    """
    model = load_face_model()
    methods, reconstructor = _methods(model, learned), Reconstructor(model)
    errors: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    photos, failed = list(scanned_photos(data)), []
    progress = Progress("facefactor evaluate", "photos", len(photos))
    for number, photo in enumerate(photos, start=1):
        try:
            face = _cut(reconstructor, photo)
        except PhotoError:
            failed.append(photo.path.stem)
            continue
        finally:
            progress.show(number, f"{len(failed)} without a face")
        for name, method in methods.items():
            code = method.describe(face)
            error = geometry_error(method.surface, code.full_shape, code.expression, photo.target)
            errors.setdefault((photo.group, name), []).append(astuple(error))
    progress.clear()
    if not errors:
        raise AssetMissing(f"{data}: none of its {len(photos)} photos shows a face")
    facts = {"photos": str(data), "face model": model.model_hash, "without a face": ", ".join(failed) or "none"}
    tables = [
        _table(group, {name: errors[group, name] for name in methods})
        for group in GROUPS
        if (group, "mean face") in errors
    ]
    write_tables(out, "Geometry", facts, tables)
    print((out / "report.md").read_text(encoding="utf-8"), end="")
    return 0


def _methods(model: FaceModel, learned: Path | None) -> dict[str, Method]:
    """Those that are measured, by the name of their row."""
    plain = ModelSurface.of(model)
    neutral = FaceCode.neutral()
    methods = {"mean face": Method(plain, lambda face: neutral)}
    for name in ("inverse", "mofa"):
        methods[name] = Method(plain, open_engine(name, model).describe)
    engine = open_engine(MULTILEVEL, model, learned=learned)
    final = ModelSurface.of(engine.model)
    methods["multilevel, base"] = Method(plain, lambda face: engine.describe(face).without_corrections())
    methods["multilevel, final"] = Method(final, engine.describe)
    methods["multilevel, refined"] = Method(final, RefiningEngine(engine).describe)
    return methods


def _cut(reconstructor: Reconstructor, photo: ScannedPhoto) -> CroppedFace:
    """Find the largest face and cut its crop.

    Raises:
        PhotoError: the photo cannot be read, or shows no face.
    """
    read = read_photo(photo.path)
    return CroppedFace.of(read, reconstructor.find(read)[0], CROP_SIZE_PX)


def _table(group: str, errors: dict[str, list[tuple[float, ...]]]) -> Table:
    rows = tuple((name, len(each), *np.mean(each, axis=0).round(3).tolist()) for name, each in errors.items())
    return Table(group.capitalize(), COLUMNS, rows, "Means over photos of the mean distance from the scan's face.")
