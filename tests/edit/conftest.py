# SPDX-License-Identifier: Apache-2.0
"""A rendered photo of a head of which everything is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.edit.head_surface import HeadSurface
from facefactor.edit.posed_head import PosedHead, pose_head
from facefactor.face.model import FaceModel, load_face_model
from facefactor.infer.decoder import Decoder
from facefactor.light.presets import preset_light
from facefactor.photo.read import Photo
from facefactor.render.picture import View

SIZE_PX = 200


@dataclass(frozen=True, eq=False)
class Scene:
    """A head before a striped wall."""

    model: FaceModel
    decoder: Decoder
    surface: HeadSurface
    code: FaceCode
    K: np.ndarray
    wall_srgb: np.ndarray

    def head(self, light: str = "studio", strength: float = 1.0, **weights: float) -> PosedHead:
        """The head with another light or expression."""
        expression = self.code.expression.copy()
        for name, weight in weights.items():
            expression[EXPRESSION_NAMES.index(name)] = weight
        lit = self.code.with_light((strength * preset_light(light)).astype(np.float32)).with_expression(expression)
        return pose_head(self.model, self.decoder, lit)

    def photo(self, head: PosedHead) -> Photo:
        """What a camera sees."""
        view = View(head.vertices_camera, self.K, self.model.triangles_subdivided, SIZE_PX, SIZE_PX)
        picture = view.picture(head.albedo_linear, head.illumination, self.wall_srgb)
        return Photo(np.rint(255 * picture).astype(np.uint8), "rendered")

    def face_mask(self, head: PosedHead, of_skin: bool = False) -> np.ndarray:
        """Pixels well within the face, or within its skin."""
        view = View(head.vertices_camera, self.K, self.model.triangles_subdivided, SIZE_PX, SIZE_PX)
        opacity = self.surface.face_opacity * (self.surface.is_skin if of_skin else 1.0)
        return (view.blend(opacity[:, None])[..., 0] > 0.99) & (view.coverage > 0.99)


@pytest.fixture(scope="session")
def scene() -> Scene:
    model = load_face_model()
    generator = np.random.default_rng(1)
    code = FaceCode.neutral()
    code = code.with_shape(generator.standard_normal(80).astype(np.float32))
    code = code.with_pose(np.array([0.05, 0.2, 0.0], np.float32), np.array([0, 0, -1250], np.float32))
    wall = np.zeros((SIZE_PX, SIZE_PX, 3), np.float32) + 0.3
    wall[:, ::8] = 0.7
    K = crop_intrinsics(SIZE_PX)
    return Scene(model, Decoder.of(model), HeadSurface.of(model), code, K, wall)
