# SPDX-License-Identifier: Apache-2.0
"""Face codes before a crop's camera, vertex by vertex and with gradients to every part of them (torch).

    FaceCode ─face─► vertices, albedo ─camera─► pixels, normals ─light─► irradiance, colour       visible: depth test

The decoder of MoFA (Tewari et al. 2017, arXiv:1703.10580, sections 3–5), on the native vertices. Place in the flow:
`losses/reconstruction.py` compares what it shows with the photo, in the fit and in training alike.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import FaceCode
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.face.normals import vertex_normals
from facefactor.light.spherical_harmonics import irradiance_over_pi
from facefactor.losses.photometric import projected_areas
from facefactor.render.skin_error import LEAST_FACING
from facefactor.render.vertex import facing_cosines, find_visible


@dataclass(frozen=True)
class VertexMasks:
    """Which native vertices photometric terms look at."""

    triangles: Int[Tensor, "faces 3"]
    compared: Bool[Tensor, " vertices"]
    """The face with its eyeballs, without the mouth's lining."""
    measured: Bool[Tensor, " vertices"]
    """The face's skin, over which the reported error is taken."""

    @classmethod
    def of(cls, model: FaceModel) -> "VertexMasks":
        """Read them off the model's regions."""
        measured = torch.zeros(model.num_vertices, dtype=torch.bool)
        measured[torch.from_numpy(model.regions["face"])] = True
        compared = measured.clone()
        compared[torch.from_numpy(model.regions["eyes"])] = True
        return cls(torch.from_numpy(model.triangles).long(), compared, measured)

    def to(self, device: torch.device) -> "VertexMasks":
        """Copy to a device; where all is there already, nothing is copied."""
        return VertexMasks(self.triangles.to(device), self.compared.to(device), self.measured.to(device))


@dataclass(frozen=True, eq=False)
class FaceView:
    """The native vertices of faces as a crop's camera sees them."""

    positions_px: Float[Tensor, "batch vertices 2"]
    normals: Float[Tensor, "batch vertices 3"]
    """Unit vectors in the camera frame."""
    albedo: Float[Tensor, "batch vertices 3"]
    """Linear RGB."""
    irradiance: Float[Tensor, "batch vertices 3"]
    """Over π, so that colour is albedo times it."""
    weights: Float[Tensor, "batch vertices"]
    """Pixels that each compared vertex stands for; zero where it is hidden. No gradient."""

    @property
    def colour_linear(self) -> Float[Tensor, "batch vertices 3"]:
        """Lit albedo, not clamped."""
        return self.albedo * self.irradiance

    @property
    def mean_irradiance(self) -> Float[Tensor, "batch 3"]:
        """Over the visible face."""
        share = self.weights / self.weights.sum(dim=-1, keepdim=True).clamp_min(1e-9)
        return (share[..., None] * self.irradiance).sum(dim=1)


class FaceViewer:
    """Shows face codes to one camera.

    Args:
        face: the face model, with native albedo.
        masks: of the same.
        K: the crop's intrinsics.
        size_px: width and height of the crop.
    """

    def __init__(self, face: MorphableFace, masks: VertexMasks, K: Float[Tensor, "3 3"], size_px: int) -> None:
        self.face, self.masks, self.K, self.size_px = face, masks, K, size_px

    @classmethod
    def of(cls, model: FaceModel, size_px: int) -> "FaceViewer":
        """Show a face model's codes in crops of a size."""
        K = torch.from_numpy(crop_intrinsics(size_px)).float()
        return cls(MorphableFace(model, native_albedo=True), VertexMasks.of(model), K, size_px)

    def to(self, device: torch.device) -> "FaceViewer":
        """The same on a device; where all is there already, nothing is copied."""
        return FaceViewer(self.face.to(device), self.masks.to(device), self.K.to(device), self.size_px)

    def look(self, code: FaceCode[Tensor], weights: Float[Tensor, "batch vertices"] | None = None) -> FaceView:
        """Project and light faces, and see which of their compared vertices show.

        Args:
            code: a batch, in the crop's camera.
            weights: of an earlier look at about the same faces, to save the depth test.
        """
        vertices = self._vertices_camera(code)
        normals = vertex_normals(vertices, self.masks.triangles)
        positions = project_points(vertices, self.K)
        return FaceView(
            positions_px=positions,
            normals=normals,
            albedo=self.face.albedo(code.full_reflectance),
            irradiance=irradiance_over_pi(normals, code.illumination),
            weights=self._weigh(vertices, normals, positions) if weights is None else weights,
        )

    def _vertices_camera(self, code: FaceCode[Tensor]) -> Float[Tensor, "batch vertices 3"]:
        vertices = self.face.vertices(code.full_shape, code.expression)
        return move_to_camera(vertices, matrix_from_axis_angle(code.rotation), code.translation)

    @torch.no_grad()
    def _weigh(self, vertices: Tensor, normals: Tensor, positions: Tensor) -> Tensor:
        """Pixels of each compared vertex that shows: in the crop, before all else, and not seen too flat."""
        seen = find_visible(vertices, normals, self.K, self.masks.triangles, self.size_px, self.size_px)
        seen &= (facing_cosines(vertices, normals) > LEAST_FACING) & self.masks.compared
        return seen * projected_areas(positions, self.masks.triangles)
