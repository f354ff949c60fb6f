# SPDX-License-Identifier: Apache-2.0
"""The accelerator's depth buffer, run on the CPU: it says what the CPU's rasteriser says."""

import numpy as np
import pytest
import torch

from facefactor.camera.projection import crop_intrinsics, depth_from_camera, project_points
from facefactor.code.face_code import FaceCode
from facefactor.face.model import load_face_model
from facefactor.render import depth_buffer, vertex
from facefactor.render.depth_buffer import nearest_depth_mm
from facefactor.render.face_view import FaceViewer
from facefactor.render.rasterise import rasterise
from facefactor.render.vertex import render_vertices

SIZE_PX = 96
K = torch.from_numpy(crop_intrinsics(SIZE_PX)).float()


@pytest.fixture(scope="module")
def heads() -> tuple[torch.Tensor, torch.Tensor]:
    """Three heads in the crop's camera, turned, near and partly outside, and their triangles."""
    viewer = FaceViewer.of(load_face_model(), SIZE_PX)
    code = FaceCode.neutral((3,)).to_torch()
    turned = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.9, 0.0], [-0.3, -0.4, 0.5]])
    moved = code.translation + torch.tensor([[0.0, 0.0, 0.0], [20.0, 5.0, 200.0], [70.0, -40.0, 600.0]])
    return viewer._vertices_camera(code.with_pose(turned, moved)), viewer.masks.triangles


def depths_of(vertices: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    return nearest_depth_mm(project_points(vertices, K), depth_from_camera(vertices), triangles, SIZE_PX, SIZE_PX)


def rasterised_depths(vertices: torch.Tensor, triangles: torch.Tensor) -> np.ndarray:
    pixels, depths = project_points(vertices, K).numpy(), depth_from_camera(vertices).numpy()
    ids, weights = rasterise(pixels, depths, triangles.numpy(), SIZE_PX, SIZE_PX)
    corners = depths[np.arange(len(depths))[:, None, None, None], triangles.numpy()[ids]]
    return np.where(ids >= 0, (weights * corners).sum(axis=-1), np.inf)


def test_depths_are_the_rasterisers(heads):
    found, expected = depths_of(*heads).numpy(), rasterised_depths(*heads)
    is_covered = np.isfinite(expected)
    assert is_covered.any(axis=(1, 2)).all()
    assert (np.isfinite(found) == is_covered).mean() > 0.9999  # a pixel's centre on an edge may fall to either side
    both = is_covered & np.isfinite(found)
    np.testing.assert_allclose(found[both], expected[both], atol=0.05)


def test_windows_in_portions_give_the_same(heads, monkeypatch):
    whole = depths_of(*heads)
    monkeypatch.setattr(depth_buffer, "PIXELS_AT_ONCE", 5000)
    assert torch.equal(depths_of(*heads), whole)


def test_what_is_behind_the_camera_or_not_finite_is_left_out():
    triangle = torch.tensor([[[-20.0, -20.0, -500.0], [20.0, -20.0, -500.0], [0.0, 20.0, -500.0]]])
    faces = torch.tensor([[0, 1, 2]])
    assert torch.isfinite(depths_of(triangle, faces)).any()
    assert not torch.isfinite(depths_of(triangle.flip(1), faces)).any()  # seen from inside
    for wrong in (500.0, float("nan")):
        broken = triangle.clone()
        broken[0, 1, 2] = wrong
        assert not torch.isfinite(depths_of(broken, faces)).any()


def test_vertices_are_seen_alike_on_an_accelerator(heads, monkeypatch):
    vertices, triangles = heads
    light, albedo = torch.ones(1, 9, 3), torch.full_like(vertices, 0.5)
    seen = []
    for there in (False, True):
        monkeypatch.setattr(vertex, "on_accelerator", lambda array, there=there: there)
        seen.append(render_vertices(vertices, albedo, light, K, triangles, SIZE_PX, SIZE_PX).is_visible)
    assert seen[0].any(dim=1).all()
    assert (seen[0] != seen[1]).float().mean() < 1e-3
