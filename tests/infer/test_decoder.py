# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from torch import Tensor

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import FaceCode
from facefactor.face.landmarks import contour_paths, read_contour, read_points
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.infer.decoder import Decoder


@pytest.fixture(scope="module")
def code() -> "FaceCode[Tensor]":
    """Faces with open jaws, closed eyes, bright albedo and turned heads."""
    generator = np.random.default_rng(3)
    parts = FaceCode.neutral((4,))
    return FaceCode(
        shape=generator.standard_normal((4, 80)).astype(np.float32),
        expression=generator.random((4, 52)).astype(np.float32),
        reflectance=(1.5 * generator.standard_normal((4, 80))).astype(np.float32),
        rotation=generator.uniform(-0.8, 0.8, (4, 3)).astype(np.float32),
        translation=parts.translation + generator.uniform(-20, 20, (4, 3)).astype(np.float32),
        illumination=parts.illumination,
    ).to_torch()


@pytest.fixture(scope="module")
def decoded(model: FaceModel, code: "FaceCode[Tensor]") -> tuple[Tensor, ...]:
    return Decoder.of(model).map(torch.from_numpy).decode(code)


def project(points_head: Tensor, code: "FaceCode[Tensor]") -> Tensor:
    points_camera = move_to_camera(points_head, matrix_from_axis_angle(code.rotation), code.translation)
    return project_points(points_camera, torch.from_numpy(crop_intrinsics(128)).float())


def test_vertices_and_albedo_are_the_face_models(
    model: FaceModel, code: "FaceCode[Tensor]", decoded: tuple[Tensor, ...]
):
    face = MorphableFace(model, native_albedo=True)
    torch.testing.assert_close(decoded[0], face.vertices(code.shape, code.expression), atol=1e-4, rtol=0)
    torch.testing.assert_close(decoded[1], face.albedo(code.reflectance), atol=1e-5, rtol=0)


def test_dense_landmarks_are_read_off_the_vertices(
    model: FaceModel, code: "FaceCode[Tensor]", decoded: tuple[Tensor, ...]
):
    corners, weights = model.landmarks478_vertices, model.landmarks478_weights
    points = read_points(decoded[0], torch.from_numpy(corners).long(), torch.from_numpy(weights).float())
    torch.testing.assert_close(decoded[3], project(points, code), atol=2e-4, rtol=0)


def test_the_68_landmarks_follow_the_outline(model: FaceModel, code: "FaceCode[Tensor]", decoded: tuple[Tensor, ...]):
    corners, weights = model.landmarks68_vertices, model.landmarks68_weights
    R = matrix_from_axis_angle(code.rotation)
    vertices_camera = move_to_camera(decoded[0], R, code.translation)
    points = read_points(vertices_camera, torch.from_numpy(corners).long(), torch.from_numpy(weights).float())
    points[:, :17] = read_contour(vertices_camera, R, contour_paths(model))
    K = torch.from_numpy(crop_intrinsics(128)).float()
    torch.testing.assert_close(decoded[2], project_points(points, K), atol=2e-4, rtol=0)


def test_arrays_decode_to_what_tensors_decode_to(
    model: FaceModel, code: "FaceCode[Tensor]", decoded: tuple[Tensor, ...]
):
    for array, tensor in zip(Decoder.of(model).decode(code.to_numpy()), decoded, strict=True):
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, tensor.numpy(), atol=1e-4)


def test_vertices_alone_are_those_of_whole_faces(
    model: FaceModel, code: "FaceCode[Tensor]", decoded: tuple[Tensor, ...]
):
    arrays = code.to_numpy()
    np.testing.assert_allclose(Decoder.of(model).vertices(arrays.shape, arrays.expression), decoded[0], atol=1e-4)


@pytest.mark.parametrize("batch_shape", [(), (2, 3)])
def test_a_code_without_one_batch_dimension_is_refused(model: FaceModel, batch_shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"must have one batch dimension, got \("):
        Decoder.of(model).decode(FaceCode.neutral(batch_shape))


def test_the_neutral_code_decodes_to_the_mean_head(model: FaceModel):
    faces = Decoder.of(model).decode(FaceCode.neutral((1,)))
    np.testing.assert_allclose(faces.vertices_mm[0], model.mean, atol=1e-4)
