# SPDX-License-Identifier: Apache-2.0
"""A face of a known code in a picture: what the fit sees, and the truth it should find."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from facefactor.camera.pose import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    matrix_from_euler_deg,
    move_to_camera,
)
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.linear_points import LinearPoints, dense_landmarks
from facefactor.face.model import FaceModel, load_face_model
from facefactor.face.morph import MorphableFace
from facefactor.fit.fit import FaceFitter
from facefactor.light.spherical_harmonics import ambient_light, directional_light
from facefactor.render.picture import View
from facefactor.render.skin_error import VisibleSkin

SIZE_PX = 224
WHITE_SRGB = 0.93
"""A wall whose linear value is 0.85, in light of strength one."""


@dataclass(frozen=True)
class Scene:
    """A rendered face."""

    code: FaceCode[Tensor]
    crop_srgb: Tensor
    landmarks_px: Tensor
    K: Tensor
    albedo: Tensor
    """(S, 3) linear, of the face that was rendered."""


@pytest.fixture(scope="session")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="session")
def face(model: FaceModel) -> MorphableFace:
    """With the albedo of the subdivided mesh."""
    return MorphableFace(model)


@pytest.fixture(scope="session")
def landmark_model(model: FaceModel) -> LinearPoints:
    return dense_landmarks(model)


@pytest.fixture(scope="session")
def fitter(model: FaceModel) -> FaceFitter:
    return FaceFitter(model)


@pytest.fixture(scope="session")
def known_code() -> FaceCode[Tensor]:
    """Somebody who smiles, turned by 15° and lit from the picture's left."""
    generator = torch.Generator().manual_seed(3)
    expression = torch.zeros(len(EXPRESSION_NAMES))
    for name, weight in (("mouthSmileLeft", 0.5), ("mouthSmileRight", 0.4), ("browInnerUp", 0.6)):
        expression[EXPRESSION_NAMES.index(name)] = weight
    ambient = ambient_light(torch.full((3,), 0.45))
    lamp = directional_light(torch.tensor([-0.6, 0.4, 0.7]), torch.full((3,), 0.6))
    return FaceCode(
        shape=0.6 * torch.randn(80, generator=generator),
        expression=expression,
        reflectance=0.6 * torch.randn(80, generator=generator),
        rotation=axis_angle_from_matrix(matrix_from_euler_deg(torch.tensor([15.0, 5.0, 0.0]))),
        translation=torch.tensor([0.0, 30.0, -1000.0]),
        illumination=ambient + lamp,
    )


@pytest.fixture(scope="session")
def render(model: FaceModel, face: MorphableFace, landmark_model: LinearPoints):
    """A function of a code, and if wanted another albedo, that gives its scene before a white wall."""
    wall = np.full((SIZE_PX, SIZE_PX, 3), WHITE_SRGB)

    def scene_of(code: FaceCode[Tensor], albedo: Tensor | None = None) -> Scene:
        albedo = face.albedo(code.reflectance[None])[0] if albedo is None else albedo
        K, R = torch.from_numpy(crop_intrinsics(SIZE_PX)).float(), matrix_from_axis_angle(code.rotation)
        vertices = face.subdivide(face.vertices(code.shape[None], code.expression[None]))
        camera = move_to_camera(vertices, R[None], code.translation[None])
        view = View(camera[0].numpy(), K.numpy(), model.triangles_subdivided, SIZE_PX, SIZE_PX)
        picture = torch.from_numpy(view.picture(albedo.numpy(), code.illumination.numpy(), wall))
        points = move_to_camera(landmark_model.place(code.shape[None], code.expression[None])[0], R, code.translation)
        return Scene(code, picture, project_points(points, K), K, albedo)

    return scene_of


@pytest.fixture(scope="session")
def scene(render, known_code: FaceCode[Tensor]) -> Scene:
    return render(known_code)


@pytest.fixture(scope="session")
def skin_of(model: FaceModel, face: MorphableFace):
    """A function of a scene and a code that gives the skin the scene shows of that face, and the code's albedo."""

    def skin(scene: Scene, code: FaceCode[Tensor], coverage: np.ndarray | None = None):
        vertices = face.vertices(code.shape[None], code.expression[None])
        posed = move_to_camera(vertices, matrix_from_axis_angle(code.rotation)[None], code.translation[None])[0].numpy()
        seen = VisibleSkin.of(model, posed, scene.K.numpy(), scene.crop_srgb.numpy(), coverage)
        return seen, face.albedo(code.reflectance[None])[0].numpy()

    return skin
