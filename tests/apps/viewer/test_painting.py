# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.apps.viewer.painting import detailed_albedo, draw_picture, paint
from facefactor.apps.viewer.state import Layer
from facefactor.apps.viewer.subject import picture_frame
from facefactor.camera.projection import project_points
from facefactor.light.presets import preset_light
from facefactor.light.source import light_from_direction
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.render.picture import View


def as_picture(mesh, record) -> tuple[np.ndarray, np.ndarray]:
    """What a renderer that draws the painted colours as they are shows, and where it covers whole pixels."""
    K, height, width = picture_frame(record)
    view = View(mesh.vertices_camera, K, mesh.triangles, height, width)
    return linear_to_srgb(view.blend(mesh.colours_linear)), view.coverage >= 1.0


@pytest.mark.parametrize("layer", list(Layer))
def test_the_painted_mesh_looks_like_the_picture(head, state, layer):
    shown = state.with_layer(layer).with_light(light_from_direction(60.0, 20.0))
    painted, covered = as_picture(paint(head, shown), shown.subject.record)
    differences = np.abs(painted - draw_picture(head, shown))[covered]
    assert differences.mean() < 0.003  # colours are mixed between vertices, in place of their normals


def test_in_white_light_of_strength_one_a_head_shows_its_albedo(head, state):
    lit, albedo = state.with_light(preset_light("ambient")), state.with_layer(Layer.ALBEDO)
    np.testing.assert_allclose(paint(head, lit).colours_linear, detailed_albedo(head, state), atol=1e-5)
    np.testing.assert_allclose(paint(head, albedo).colours_linear, detailed_albedo(head, state), atol=1e-5)


def test_geometry_does_not_change_with_the_light_and_shading_does(head, state):
    left, right = state.with_light(light_from_direction(-80.0, 0.0)), state.with_light(light_from_direction(80.0, 0.0))
    geometry = [paint(head, shown.with_layer(Layer.GEOMETRY)).colours_linear for shown in (left, right)]
    np.testing.assert_array_equal(*geometry)
    nose_to_left = head.surface_camera(state.code)[:, 0] < state.code.translation[0] - 40.0
    shading = [paint(head, shown.with_layer(Layer.SHADING)).colours_linear for shown in (left, right)]
    assert shading[0][nose_to_left].mean() > 2.0 * shading[1][nose_to_left].mean()


def test_over_the_photo_the_border_of_the_face_has_the_photos_colours(head, state):
    mesh = paint(head, state.with_over_photo(True))
    assert len(mesh.triangles) < 0.8 * len(head.triangles)  # scalp, ears and neck are left out
    shown = np.unique(mesh.triangles)
    border = shown[head.opacity[shown] == 0.0]
    assert len(border) > 100
    places = project_points(mesh.vertices_camera[border], state.subject.record.camera.K)
    column, row = np.clip(places, 0, 511).astype(int).T
    nearest = srgb_to_linear(state.subject.photo_srgb[row, column])
    assert np.abs(mesh.colours_linear[border] - nearest).mean() < 0.03  # read between pixels, here at the nearest


def test_over_the_photo_the_picture_is_the_photo_where_no_face_is(head, state, photo):
    picture = draw_picture(head, state.with_over_photo(True))
    np.testing.assert_allclose(picture[400:], photo.srgb[400:] / 255.0, atol=1e-5)
    assert np.abs(picture - photo.srgb / 255.0).max() > 0.1
