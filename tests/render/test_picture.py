# SPDX-License-Identifier: Apache-2.0
"""Rendered pictures of a sphere against the closed form at every pixel."""

import math

import numpy as np
import pytest

from facefactor.arrays import unit_vectors
from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.camera.projection import crop_intrinsics
from facefactor.light.presets import preset_light
from facefactor.light.spherical_harmonics import (
    ambient_light,
    directional_light,
    irradiance_over_pi,
    rotate_light,
)
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.render.picture import GREY_ALBEDO_LINEAR, View

SIZE_PX = 48
RADIUS_MM, DISTANCE_MM = 80.0, 900.0
CENTRE = np.array([0.0, 0.0, -DISTANCE_MM])
WHITE = ambient_light(np.ones(3))


@pytest.fixture(scope="module")
def sphere(icosphere):
    vertices, triangles = icosphere(5)
    return RADIUS_MM * vertices + CENTRE, triangles


@pytest.fixture(scope="module")
def small_sphere(icosphere):
    vertices, triangles = icosphere(2)
    return RADIUS_MM * vertices + CENTRE, triangles


def look_at(mesh, supersample=2):
    return View(mesh[0], crop_intrinsics(SIZE_PX), mesh[1], SIZE_PX, SIZE_PX, supersample)


def side_light(strength=0.8):
    return directional_light(np.array([0.5, 0.7, 0.6]), strength * np.array([1.0, 0.8, 0.5]))


def random_picture():
    return np.random.default_rng(0).random((SIZE_PX, SIZE_PX, 3))


def analytic_sphere_normals():
    """Meet each pixel's ray with the sphere: normals, and which rays hit it well inside its outline."""
    ticks = np.arange(SIZE_PX) + 0.5
    focal_px, centre_px = crop_intrinsics(SIZE_PX)[0, 0], SIZE_PX / 2
    y, x = np.meshgrid((centre_px - ticks) / focal_px, (ticks - centre_px) / focal_px, indexing="ij")
    rays = unit_vectors(np.stack((x, y, -np.ones_like(x)), axis=-1))
    along = rays @ CENTRE
    discriminant = along**2 - CENTRE @ CENTRE + RADIUS_MM**2
    points = (along - np.sqrt(discriminant.clip(min=0)))[..., None] * rays
    return (points - CENTRE) / RADIUS_MM, discriminant > (0.3 * RADIUS_MM) ** 2


def test_a_sphere_under_a_directional_light_equals_its_analytic_irradiance(sphere):
    albedo = np.array([[0.7, 0.5, 0.4]])
    picture = look_at(sphere, supersample=1).picture(albedo, side_light())
    normals, is_inside = analytic_sphere_normals()
    expected = linear_to_srgb((albedo * irradiance_over_pi(normals, side_light())).clip(0, 1))
    assert is_inside.sum() > 700
    # 20,480 facets of 3 mm bend the normal by less than 0.02; dark parts magnify it by the slope of the encoding.
    np.testing.assert_allclose(picture[is_inside], expected[is_inside], atol=0.01)
    assert np.abs(picture[is_inside] - expected[is_inside]).mean() < 1e-3


def test_white_light_of_strength_one_shows_the_albedo(small_sphere):
    albedo, view = np.random.default_rng(0).random(small_sphere[0].shape), look_at(small_sphere)
    np.testing.assert_allclose(view.picture(albedo, WHITE), view.albedo(albedo), atol=1e-6)


def test_one_colour_serves_all_vertices(small_sphere):
    colour, view = np.array([[0.2, 0.4, 0.6]]), look_at(small_sphere)
    everywhere = np.broadcast_to(colour, small_sphere[0].shape)
    np.testing.assert_allclose(view.picture(colour, side_light()), view.picture(everywhere, side_light()), atol=1e-6)


def test_the_coverage_is_the_disc_that_the_sphere_projects_to(sphere):
    coverage = look_at(sphere, supersample=4).coverage
    radius_px = crop_intrinsics(SIZE_PX)[0, 0] * RADIUS_MM / (DISTANCE_MM**2 - RADIUS_MM**2) ** 0.5
    assert coverage.sum() == pytest.approx(math.pi * radius_px**2, rel=2e-3)
    assert (coverage.min(), coverage.max()) == (0.0, 1.0)
    assert ((coverage > 0) & (coverage < 1)).sum() > 60


def test_the_background_shows_where_the_face_is_not_and_blends_in_linear_light(small_sphere):
    view, background = look_at(small_sphere), random_picture()
    picture, on_black = view.geometry(background), view.geometry()
    outside, coverage = view.coverage == 0, view.coverage[..., None]
    np.testing.assert_allclose(picture[outside], background[outside], atol=1e-6)
    expected = srgb_to_linear(on_black) + (1 - coverage) * srgb_to_linear(background)
    np.testing.assert_allclose(srgb_to_linear(picture), expected, atol=1e-6)


def test_blended_values_are_those_of_the_covered_part_of_a_pixel(small_sphere):
    view = look_at(small_sphere)
    ones = view.blend(np.ones((len(small_sphere[0]), 1)))[..., 0]
    np.testing.assert_allclose(ones, view.coverage > 0, atol=1e-6)
    depth_mm = view.blend(-small_sphere[0][:, 2:])[..., 0]
    assert depth_mm[SIZE_PX // 2, SIZE_PX // 2] == pytest.approx(DISTANCE_MM - RADIUS_MM, abs=1.0)


def test_turning_sphere_and_light_together_about_the_axis_turns_the_picture(sphere):
    quarter_turn = matrix_from_axis_angle(np.array([0.0, 0.0, math.pi / 2]))
    before = look_at(sphere).shading(side_light())
    turned = (sphere[0] @ quarter_turn.T, sphere[1])
    after = look_at(turned).shading(rotate_light(side_light(), quarter_turn))
    # Counter-clockwise for the viewer. Pixel centres on an edge may fall to the neighbouring triangle.
    np.testing.assert_allclose(after, np.rot90(before), atol=0.02)


def test_convention_a_light_from_the_right_lights_the_right_half_of_the_picture(small_sphere):
    row = look_at(small_sphere).shading(preset_light("right"))[SIZE_PX // 2, :, 0]
    assert row[SIZE_PX // 2 + 10] > row[SIZE_PX // 2 - 10] + 0.2


def test_convention_a_light_from_above_lights_the_top_rows(small_sphere):
    column = look_at(small_sphere).shading(preset_light("top"))[:, SIZE_PX // 2, 0]
    assert column[SIZE_PX // 2 - 10] > column[SIZE_PX // 2 + 10] + 0.2


def test_too_much_and_negative_light_stay_within_the_display(small_sphere):
    picture = look_at(small_sphere).shading(side_light(50.0))
    assert picture.min() == 0.0
    assert picture.max() <= 1.0


def test_shading_is_lit_grey(small_sphere):
    middle = look_at(small_sphere).shading(WHITE)[SIZE_PX // 2, SIZE_PX // 2]
    np.testing.assert_allclose(middle, linear_to_srgb(np.full(3, GREY_ALBEDO_LINEAR)), rtol=1e-5)


def test_no_subpixels_are_refused(small_sphere):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        look_at(small_sphere, supersample=0)
