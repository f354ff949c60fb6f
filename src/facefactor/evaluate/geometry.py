# SPDX-License-Identifier: Apache-2.0
"""How far faces that engines see in photos are from the scans of the people in them, in millimetres.

    photo ─engine─► face with its expression ─┬─ rigidly laid on the scan by 51 landmarks ─► distances
                                              └─ then by its surface (ICP) ────────────────► distances

Distances run from points of the scan's face to the reconstructed surface, as in `shape_space.py`, whose targets these
are. A photo does not tell how large a head is, so the surface is laid on once more with its size free. Scans without a
unit are laid on so from the start, in the millimetres of an average adult.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facefactor.errors import AssetMissing
from facefactor.evaluate.scans import read_cloud, read_james, read_lee_perry_smith, read_posed_head
from facefactor.evaluate.shape_fit import ModelSurface
from facefactor.evaluate.target import Target, make_target
from facefactor.face.closest import closest_points
from facefactor.face.similarity import Similarity, fit_similarity

ICP_ROUNDS = 15
ICP_EVERY = 3
"""Rounds use each third measured point; the distances are those of all."""
ICP_OUTLIER_MM = 4.0
"""Distance at which a point counts a quarter while the surface is laid on."""
GROUPS = ("scans", "real scans", "heads")


@dataclass(frozen=True)
class ScannedPhoto:
    """A photo, or a path-traced picture, of a face whose surface is known."""

    path: Path
    group: str
    """One of GROUPS."""
    target: Target


@dataclass(frozen=True)
class GeometryError:
    """Mean distances, mm, from the scan's face to a reconstruction laid on it in three ways."""

    by_landmarks: float
    by_surface: float
    by_surface_and_size: float


def scanned_photos(data: Path) -> Iterator[ScannedPhoto]:
    """Read the photos' scans, one after the other.

    Args:
        data: folder that holds scans/rendered/, real_scans/ and heads/.

    Raises:
        AssetMissing: none of them is there, or a photo's scan is missing.
    """
    found = False
    scans = (("lps", "LeePerrySmith.glb", read_lee_perry_smith), ("james", "james.obj", read_james))
    for prefix, name, read in scans:
        photos = sorted((data / "scans" / "rendered").glob(f"{prefix}_[0-9]*.jpg"))
        if photos:
            target = make_target(read(data / "scans" / name))
            for path in photos:
                found = True
                yield ScannedPhoto(path, "scans", target)
    for cloud in sorted((data / "real_scans").glob("*_points.npz")):
        name = cloud.name.removesuffix("_points.npz")
        target = make_target(read_cloud(cloud))
        for path in sorted(cloud.parent.glob(f"{name}_*.jpg")):
            found = True
            yield ScannedPhoto(path, "real scans", target)
    for path in sorted((data / "heads").glob("[0-9]*.jpg")):
        found = True
        yield ScannedPhoto(path, "heads", make_target(read_posed_head(path.with_suffix(".npz"))))
    if not found:
        raise AssetMissing(f"{data}: has no photos of scanned faces in scans/rendered, real_scans or heads")


def geometry_error(surface: ModelSurface, shape: np.ndarray, expression: np.ndarray, target: Target) -> GeometryError:
    """Measure one reconstruction.

    Args:
        surface: of the face model that it is of.
        shape: (K,) standard deviations.
        expression: (52,) weights in [0, 1].
        target: the scan.
    """
    vertices = surface.vertices(shape, expression)
    places = surface.landmarks(vertices, target.landmarks)
    starts = [fit_similarity(target.landmarks.points, places, with_scale=sized) for sized in (False, True)]
    start = starts[not target.has_true_scale]
    rigid = _lay_on(surface, vertices, target, start, with_scale=not target.has_true_scale)
    sized = _lay_on(surface, vertices, target, starts[True], with_scale=True)
    return GeometryError(*(_mean_distance_mm(surface, vertices, target, fit) for fit in (start, rigid, sized)))


def _lay_on(
    surface: ModelSurface, vertices: np.ndarray, target: Target, to_model: Similarity, with_scale: bool
) -> Similarity:
    """Iterative closest points: pair each point with the nearest place of the surface, align the pairs, again."""
    points = target.points[::ICP_EVERY]
    for _ in range(ICP_ROUNDS):
        found = closest_points(to_model.apply(points), vertices, surface.triangles)
        weights = 1 / (1 + (found.distances / ICP_OUTLIER_MM) ** 2) ** 2
        to_model = fit_similarity(points, found.points, weights, with_scale)
    return to_model


def _mean_distance_mm(surface: ModelSurface, vertices: np.ndarray, target: Target, to_model: Similarity) -> float:
    """In the scan's millimetres where it has a unit, else in the model's."""
    distances = closest_points(to_model.apply(target.points), vertices, surface.triangles).distances
    return float(distances.mean()) / (to_model.scale if target.has_true_scale else 1.0)
