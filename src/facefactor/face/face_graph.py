# SPDX-License-Identifier: Apache-2.0
"""The face's skin on the subdivided mesh as a graph, to soften and to smooth what is given at its vertices (numpy)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import factorized

from facefactor.face.adjacency import graph_laplacian, neighbour_average, triangle_edges, triangles_within
from facefactor.face.model import FaceModel
from facefactor.face.symmetry import mirror_vertices

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

FEATHER_STEPS = 6
"""Rounds of averaging with neighbours that soften a border, each about 2.5 mm wide."""
AROUND_STEPS = 8
"""Rounds of averaging with neighbours that make the mean around a vertex: about 7 mm of standard deviation."""
FAINTEST = 1e-4
"""Weight of zero at every vertex, which answers where no other weight reaches."""


class FaceGraph:
    """What hangs together in the region "face" of one face model.

    Args:
        model: the face model.
    """

    in_face: Bool[np.ndarray, " subdivided"]
    """Which subdivided vertices lie inside the region."""

    def __init__(self, model: FaceModel) -> None:
        region = np.zeros(model.num_vertices, dtype=np.float32)
        region[model.regions["face"]] = 1
        self.in_face = (model.subdivision @ region) > 0.999
        triangles = model.triangles_subdivided
        self._average = neighbour_average(triangle_edges(triangles), model.num_subdivided)
        number = np.cumsum(self.in_face) - 1
        within = triangles_within(triangles, np.flatnonzero(self.in_face))
        self._laplacian = graph_laplacian(triangle_edges(number[within]), int(self.in_face.sum()))
        self._edge_mm = _edge_length(model)
        self._mean_mm = model.subdivision @ model.mean

    @functools.cached_property
    def mirrored(self) -> Int[np.ndarray, " subdivided"]:
        """The vertex on the other half of the head for each vertex."""
        return mirror_vertices(self._mean_mm)

    def feather(self, weights: Float[np.ndarray, " subdivided"]) -> Float[np.ndarray, " subdivided"]:
        """Let weights fall off softly towards where they are zero; they grow nowhere."""
        soft = weights
        for _ in range(FEATHER_STEPS):
            soft = np.minimum(self._average @ soft, weights)
        return soft

    def average_around(
        self, values: Float[np.ndarray, "subdivided channels"], weights: Float[np.ndarray, " subdivided"]
    ) -> Float[np.ndarray, "subdivided channels"]:
        """The weighted mean of values over a centimetre around each vertex; zero where no weight is near."""
        sums = weights[:, None] * np.concatenate([values, np.ones_like(values[:, :1])], axis=1)
        for _ in range(AROUND_STEPS):
            sums = self._average @ sums
        return sums[:, :-1] / np.maximum(sums[:, -1:], FAINTEST)

    def smooth(
        self,
        values: Float[np.ndarray, "subdivided channels"],
        weights: Float[np.ndarray, " subdivided"],
        scale_mm: float,
    ) -> Float[np.ndarray, "subdivided channels"]:
        """The smooth part s of values, (diag(weights) + (scale/edge)² Δ) s = weights · values; zero off the face.

        Args:
            values: anything; read where weights are not zero, and continued smoothly elsewhere.
            weights: [0, 1].
            scale_mm: finer variation than this is left out.
        """
        weights_face = weights[self.in_face, None]
        stiffness = (scale_mm / self._edge_mm / (2 * np.pi)) ** 2
        system = sparse.diags(weights_face[:, 0] + FAINTEST) + stiffness * self._laplacian
        smooth = np.zeros_like(values)
        smooth[self.in_face] = factorized(system.tocsc())(weights_face * values[self.in_face])
        return smooth


def _edge_length(model: FaceModel) -> float:
    """Median length of the face's edges on the subdivided mesh, mm."""
    sides = triangles_within(model.triangles, model.regions["face"])[:, :2]
    return 0.5 * float(np.median(np.linalg.norm(model.mean[sides[:, 0]] - model.mean[sides[:, 1]], axis=1)))
