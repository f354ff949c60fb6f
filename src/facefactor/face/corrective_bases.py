# SPDX-License-Identifier: Apache-2.0
"""Corrective bases while they are learnt: a base face model with free vectors over the face's vertices (torch).

Place in the flow: `train/multilevel.py` trains these with an encoder; `correctives.py` keeps what was learnt. Toward
the face's border all corrections fade to nothing, or there would be a step in skin and surface.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor, nn

from facefactor.code.face_code import REFLECTANCE_SIZE, SHAPE_SIZE
from facefactor.face.adjacency import adjacency_matrix, triangle_edges, triangles_within
from facefactor.face.correctives import Correctives
from facefactor.face.fade import face_opacity
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace

LOG_ALBEDO_UNIT = 0.1
"""Log albedo that a weight of one stands for; a millimetre is the unit of geometry. Adam moves all weights alike."""
FIRST_SPREAD = 0.5
"""Root mean square of a vector at the start, when the encoder answers zero to all of them."""


class CorrectiveBases(nn.Module):
    """Θ_g and Θ_r over the vertices of a model's face.

    Args:
        model: the face model.
        num_geometry: vectors of Θ_g.
        num_reflectance: vectors of Θ_r.
        in_pairs: let the second half of the vectors be the first half's opposites at the start.
    """

    vertices: Tensor
    faded: Tensor
    edges: Tensor
    corners: Tensor
    corner_weights: Tensor

    def __init__(self, model: FaceModel, num_geometry: int, num_reflectance: int, in_pairs: bool = False) -> None:
        super().__init__()
        face = np.asarray(model.regions["face"])
        place = np.full(model.num_vertices, len(face))
        place[face] = np.arange(len(face))
        edges = place[triangle_edges(triangles_within(model.triangles, face))]
        self._model_hash, self._num_vertices = model.model_hash, model.num_vertices
        self.register_buffer("vertices", torch.from_numpy(face).long(), persistent=False)
        faded = torch.from_numpy(face_opacity(model)[face])[:, None]
        self.register_buffer("faded", faded, persistent=False)
        self.register_buffer("edges", torch.from_numpy(edges).long(), persistent=False)
        # A landmark's corner that no correction moves reads the zero after the last vertex.
        self.register_buffer("corners", torch.from_numpy(place[model.landmarks478_vertices]).long(), persistent=False)
        self.register_buffer(
            "corner_weights", torch.from_numpy(model.landmarks478_weights).float()[..., None], persistent=False
        )
        modes = torch.from_numpy(_smooth_modes(edges, len(face), max(num_geometry, num_reflectance))).float()
        geometry, reflectance = (
            torch.cat((modes[: size // 2], -modes[: size // 2])) if in_pairs else modes[:size]
            for size in (num_geometry, num_reflectance)
        )
        self.geometry, self.reflectance = (
            nn.Parameter(FIRST_SPREAD * geometry),
            nn.Parameter(FIRST_SPREAD * reflectance),
        )

    def displacement_mm(self, geometry_corrective: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch moved 3"]:
        """Θ_g δ_g."""
        return self.faded * (geometry_corrective @ self.geometry).unflatten(-1, (-1, 3))

    def log_albedo(self, reflectance_corrective: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch moved 3"]:
        """Θ_r δ_r."""
        return LOG_ALBEDO_UNIT * self.faded * (reflectance_corrective @ self.reflectance).unflatten(-1, (-1, 3))

    def landmark_displacement_mm(
        self, geometry_corrective: Float[Tensor, "batch coeffs"]
    ) -> Float[Tensor, "batch 478 3"]:
        """What the same does to the 478 landmarks."""
        moved = nn.functional.pad(self.displacement_mm(geometry_corrective), (0, 0, 0, 1))
        return (moved[:, self.corners] * self.corner_weights).sum(dim=2)

    def correctives(self, facts: Mapping[str, str]) -> Correctives:
        """What was learnt, in millimetres and log albedo."""
        geometry, reflectance = (
            self.faded * basis.detach().unflatten(-1, (-1, 3)) for basis in (self.geometry, self.reflectance)
        )
        return Correctives(
            self.vertices.cpu().numpy(),
            geometry.cpu().numpy(),
            LOG_ALBEDO_UNIT * reflectance.cpu().numpy(),
            self._model_hash,
            facts,
        )


def _smooth_modes(edges: np.ndarray, count: int, wanted: int) -> np.ndarray:
    """Vectors that are smooth over a mesh, the smoothest first, root mean square one: (wanted, 3 · count) float64.

    They are the slowest waves of the mesh, eigenvectors of its Laplacian, each in one of three channels: at the start a
    correction of neighbours goes together, and what learning adds is detail. Noise would be smoothed away instead.
    """
    links = adjacency_matrix(edges, count)
    laplacian = sparse.diags(np.asarray(links.sum(axis=1)).ravel()) - links
    num_waves = -(-wanted // 3)
    start = np.random.default_rng(0).standard_normal(count)  # or the answer would differ from call to call
    _, waves = sparse.linalg.eigsh(laplacian.tocsc(), k=num_waves, sigma=-1e-3, v0=start)
    waves = waves.T * np.where(waves.sum(axis=0) < 0, -1.0, 1.0)[:, None]
    waves = waves / np.sqrt(np.square(waves).mean(axis=1, keepdims=True))
    modes = np.einsum("wv,ck->wcvk", waves, np.eye(3)).reshape(3 * num_waves, -1)
    return modes[:wanted] * np.sqrt(3.0)


class CorrectedFace(MorphableFace):
    """A face model with corrective bases that are learnt: full coefficients in, faces out, as `MorphableFace` does.

    Args:
        model: the face model.
        bases: over its face.
    """

    def __init__(self, model: FaceModel, bases: CorrectiveBases) -> None:
        super().__init__(model, native_albedo=True)
        self.bases = bases

    def neutral(self, shape: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch vertices 3"]:
        """The face without expression; head frame, millimetres."""
        placed = super().neutral(shape[:, :SHAPE_SIZE])
        return placed.index_add(1, self.bases.vertices, self.bases.displacement_mm(shape[:, SHAPE_SIZE:]))

    def log_albedo(self, reflectance: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch vertices 3"]:
        """Logarithm of albedo at the native vertices."""
        log_albedo = super().log_albedo(reflectance[:, :REFLECTANCE_SIZE])
        return log_albedo.index_add(1, self.bases.vertices, self.bases.log_albedo(reflectance[:, REFLECTANCE_SIZE:]))
