# SPDX-License-Identifier: Apache-2.0
"""How well the face model's shape space holds real faces: the measure behind `facefactor model fit-scans`.

    targets ─shape_fit─► mean face, 80 coefficients ─► distance of each measured point to the model's surface, mm

Distances run from the target's points to the model, in the target's own millimetres where it has a unit, else in the
model's after the fitted similarity. The landmark error beside them keeps smooth surfaces honest: a basis can slide
along a surface without leaving it.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facefactor.evaluate.report import Measure, write_report
from facefactor.evaluate.scan_picture import draw_row
from facefactor.evaluate.scans import load_targets
from facefactor.evaluate.shape_fit import ModelSurface, ShapeFit, fit_mean, fit_shape
from facefactor.evaluate.target import FIRST_INNER, LANDMARK_PARTS, NUM_IBUG, Target
from facefactor.face.closest import closest_points
from facefactor.face.model import FaceModel

log = logging.getLogger(__name__)


def report(data: Path, out: Path, models: dict[str, FaceModel]) -> list[Measure]:
    """Fit every model to every target and write report.md, report.json and the pictures to a folder.

    Args:
        data: folder that holds scans/, real_scans/ and heads/.
        out: folder of the report; made if needed.
        models: face models by the name they get in the report.

    Raises:
        AssetMissing: the data are not there.
        OutputUnwritable: the report cannot be written.
    """
    surfaces = {name: ModelSurface.of(model) for name, model in models.items()}
    measures: list[Measure] = []
    rows: dict[tuple[str, str], list[np.ndarray]] = {}
    for target in load_targets(data):
        for name, surface in surfaces.items():
            mean, fit = fit_mean(surface, target), fit_shape(surface, target)
            measures += [
                measure_fit(name, surface, target, mean, "mean"),
                measure_fit(name, surface, target, fit, "shape"),
            ]
            rows.setdefault((name, target.group), []).append(draw_row(surface, target, mean, fit))
            log.info("%s, %s: mean %.3f mm", target.name, name, measures[-1].mean_mm)
    write_report(out, measures, rows, {name: model.model_hash for name, model in models.items()})
    return measures


def measure_fit(model: str, surface: ModelSurface, target: Target, fit: ShapeFit, kind: str) -> Measure:
    """Measure one fit.

    Args:
        model: name for the report.
        surface: the fitted model.
        target: what it was fitted to.
        fit: the fit.
        kind: "mean" or "shape".
    """
    to_target_mm = 1 / fit.to_model.scale if target.has_true_scale else 1.0
    found = closest_points(fit.to_model.apply(target.points), fit.vertices, surface.triangles)
    distances = found.distances * to_target_mm
    places = surface.landmarks(fit.vertices, target.landmarks)
    offsets = (fit.to_model.apply(target.landmarks.points) - places) * to_target_mm
    misses = np.linalg.norm(offsets, axis=1)
    all_offsets = np.full((NUM_IBUG - FIRST_INNER, 3), np.nan)
    all_offsets[target.landmarks.ibug - FIRST_INNER] = offsets
    return Measure(
        model=model,
        target=target.name,
        group=target.group,
        fit=kind,
        median_mm=float(np.median(distances)),
        mean_mm=float(distances.mean()),
        percentile95_mm=float(np.percentile(distances, 95)),
        landmarks_mm=float(misses.mean()),
        landmark_parts_mm=dict(_part_means(target, misses)),
        landmark_misses_mm=all_offsets,
        scale=fit.to_model.scale,
        shape_rms=float(np.sqrt((fit.shape**2).mean())),
    )


def _part_means(target: Target, misses: np.ndarray) -> Iterator[tuple[str, float]]:
    for part, ids in LANDMARK_PARTS.items():
        chosen = np.isin(target.landmarks.ibug, ids)
        if chosen.any():
            yield part, float(misses[chosen].mean())
