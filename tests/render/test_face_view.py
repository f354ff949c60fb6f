# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_euler_deg
from facefactor.code.face_code import FaceCode
from facefactor.face.model import FaceModel, load_face_model
from facefactor.light.spherical_harmonics import ambient_light
from facefactor.render.face_view import FaceViewer, VertexMasks
from facefactor.render.fragments import rasterise_camera
from facefactor.render.vertex import render_vertices

SIZE_PX = 96


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def viewer(model: FaceModel) -> FaceViewer:
    return FaceViewer.of(model, SIZE_PX)


@pytest.fixture
def code() -> FaceCode[torch.Tensor]:
    """Two people: one looks at the camera, one to image right."""
    yaws = torch.tensor([[0.0, 0.0, 0.0], [40.0, 0.0, 0.0]])
    generator = torch.Generator().manual_seed(0)
    return (
        FaceCode.neutral((2,))
        .to_torch()
        .with_pose(axis_angle_from_matrix(matrix_from_euler_deg(yaws)), torch.tensor([[0.0, 30.0, -1000.0]] * 2))
        .with_shape(torch.randn(2, 80, generator=generator))
        .with_reflectance(0.5 * torch.randn(2, 80, generator=generator))
    )


def test_it_sees_what_the_vertex_renderer_sees(viewer, code):
    view = viewer.look(code)
    rendered = render_vertices(
        viewer._vertices_camera(code), viewer.face.albedo(code.reflectance), code.illumination, viewer.K,
        viewer.masks.triangles, SIZE_PX, SIZE_PX,
    )  # fmt: skip
    torch.testing.assert_close(view.positions_px, rendered.positions_px)
    torch.testing.assert_close(view.colour_linear, rendered.colour_linear)
    assert not (view.weights > 0)[~rendered.is_visible].any()
    assert not (view.weights > 0)[:, ~viewer.masks.compared].any()


def test_the_weights_of_a_face_add_up_to_its_pixels(viewer, code):
    pixels = viewer.look(code).weights.sum(dim=1).numpy()
    triangles = viewer.masks.triangles.numpy()
    vertices = viewer._vertices_camera(code).numpy()
    drawn, _ = rasterise_camera(vertices, viewer.K.numpy(), triangles, SIZE_PX, SIZE_PX)
    shown = np.append(viewer.masks.compared.numpy()[triangles].mean(axis=1), 0.0)[drawn]  # -1, no triangle, is last
    # Vertices seen flatter than 78° are left out, and a triangle at the edge is hidden or not as a whole.
    np.testing.assert_allclose(pixels, shown.sum(axis=(1, 2)), rtol=0.06)


def test_the_far_cheek_of_a_turned_head_is_hidden(viewer, code):
    seen = viewer.look(code).weights > 0
    # Turned to image right, the subject's left cheek is the far one.
    left = viewer.face.mean[:, 0] > 45
    assert (seen[1] & left).sum() < 0.5 * (seen[0] & left).sum()


def test_white_light_of_strength_one_shows_the_albedo(viewer, code):
    view = viewer.look(code.with_light(ambient_light(torch.ones(2, 3))))
    torch.testing.assert_close(view.colour_linear, view.albedo)
    torch.testing.assert_close(view.mean_irradiance, torch.ones(2, 3))


def test_an_earlier_depth_test_is_believed(viewer, code):
    weights = torch.rand(2, len(viewer.masks.compared))
    assert viewer.look(code, weights).weights is weights


def test_visibility_carries_no_gradient(viewer, code):
    free = code.map(lambda part: part.clone().requires_grad_())
    view = viewer.look(free)
    assert not view.weights.requires_grad
    assert view.positions_px.requires_grad


def test_masks_hold_the_face_and_its_eyes(model: FaceModel):
    masks = VertexMasks.of(model)
    assert set(masks.measured.nonzero()[:, 0].tolist()) == set(model.regions["face"].tolist())
    only_compared = (masks.compared & ~masks.measured).nonzero()[:, 0]
    assert set(only_compared.tolist()) == set(model.regions["eyes"].tolist())
    assert not (masks.measured & ~masks.compared).any()
    assert not masks.compared[torch.from_numpy(np.asarray(model.regions["mouth_lining"]))].any()
