# SPDX-License-Identifier: Apache-2.0
"""Rendered pictures of a sphere against the closed form at every pixel."""

import pytest
import torch
from torch.autograd import gradcheck

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.camera.projection import crop_intrinsics
from facefactor.light.presets import preset_light
from facefactor.light.spherical_harmonics import (
    ambient_light,
    directional_light,
    irradiance_over_pi,
    rotate_light,
)
from facefactor.render.picture import (
    GREY_ALBEDO_LINEAR,
    render_albedo,
    render_geometry,
    render_picture,
    render_shading,
)
from facefactor.render.shade import linear_to_srgb, srgb_to_linear

SIZE_PX = 48
RADIUS_MM, DISTANCE_MM = 80.0, 900.0
CENTRE = torch.tensor([0.0, 0.0, -DISTANCE_MM], dtype=torch.float64)


@pytest.fixture(scope="module")
def sphere(icosphere):
    vertices, triangles = icosphere(5)
    return (RADIUS_MM * torch.from_numpy(vertices) + CENTRE)[None], torch.from_numpy(triangles)


@pytest.fixture(scope="module")
def small_sphere(icosphere):
    vertices, triangles = icosphere(2)
    return (RADIUS_MM * torch.from_numpy(vertices) + CENTRE)[None], torch.from_numpy(triangles)


def intrinsics(size_px=SIZE_PX):
    return crop_intrinsics(size_px, dtype=torch.float64)


def side_light(strength=0.8):
    direction = torch.tensor([0.5, 0.7, 0.6], dtype=torch.float64)
    strengths = torch.tensor([strength, 0.8 * strength, 0.5 * strength], dtype=torch.float64)
    return directional_light(direction, strengths)[None]


def analytic_sphere_normals():
    """Meet each pixel's ray with the sphere: normals, and which rays hit it well inside its outline."""
    ticks = torch.arange(SIZE_PX, dtype=torch.float64) + 0.5
    focal_px, centre_px = intrinsics()[0, 0], SIZE_PX / 2
    y, x = torch.meshgrid((centre_px - ticks) / focal_px, (ticks - centre_px) / focal_px, indexing="ij")
    rays = torch.nn.functional.normalize(torch.stack((x, y, -torch.ones_like(x)), dim=-1), dim=-1)
    along = (rays * CENTRE).sum(-1)
    discriminant = along**2 - CENTRE @ CENTRE + RADIUS_MM**2
    points = (along - discriminant.clamp_min(0).sqrt())[..., None] * rays
    return (points - CENTRE) / RADIUS_MM, discriminant > (0.3 * RADIUS_MM) ** 2


def test_a_sphere_under_a_directional_light_equals_its_analytic_irradiance(sphere):
    vertices, triangles = sphere
    albedo = torch.tensor([0.7, 0.5, 0.4], dtype=torch.float64).expand_as(vertices)
    picture = render_picture(vertices, albedo, side_light(), intrinsics(), triangles, SIZE_PX, SIZE_PX, supersample=1)
    normals, is_inside = analytic_sphere_normals()
    irradiance = irradiance_over_pi(normals.reshape(1, -1, 3), side_light()).reshape(SIZE_PX, SIZE_PX, 3)
    expected = linear_to_srgb((albedo[0, 0] * irradiance).clamp(0, 1))
    assert is_inside.sum() > 700
    # 20,480 facets of 3 mm bend the normal by less than 0.02; dark parts magnify it by the slope of the encoding.
    torch.testing.assert_close(picture.srgb[0][is_inside], expected[is_inside], atol=0.01, rtol=0)
    assert (picture.srgb[0][is_inside] - expected[is_inside]).abs().mean() < 1e-3


def test_white_light_of_strength_one_shows_the_albedo(small_sphere):
    vertices, triangles = small_sphere
    albedo = torch.rand(1, vertices.shape[1], 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    white = ambient_light(torch.ones(1, 3, dtype=torch.float64))
    lit = render_picture(vertices, albedo, white, intrinsics(), triangles, SIZE_PX, SIZE_PX)
    unlit = render_albedo(vertices, albedo, intrinsics(), triangles, SIZE_PX, SIZE_PX)
    torch.testing.assert_close(lit.srgb, unlit.srgb, atol=1e-6, rtol=0)


def test_the_coverage_is_the_disc_that_the_sphere_projects_to(sphere):
    vertices, triangles = sphere
    coverage = render_geometry(vertices, intrinsics(), triangles, SIZE_PX, SIZE_PX, supersample=4).coverage[0]
    radius_px = intrinsics()[0, 0] * RADIUS_MM / (DISTANCE_MM**2 - RADIUS_MM**2) ** 0.5
    assert coverage.sum().item() == pytest.approx((torch.pi * radius_px**2).item(), rel=2e-3)
    assert coverage.min() == 0.0
    assert coverage.max() == 1.0
    assert ((coverage > 0) & (coverage < 1)).sum() > 60


def test_the_background_shows_where_the_face_is_not_and_blends_in_linear_light(small_sphere):
    vertices, triangles = small_sphere
    background = torch.rand(1, SIZE_PX, SIZE_PX, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    arguments = (vertices, intrinsics(), triangles, SIZE_PX, SIZE_PX)
    on_black = render_geometry(*arguments)
    picture = render_geometry(*arguments, background_srgb=background)
    outside, coverage = picture.coverage == 0, picture.coverage[..., None]
    torch.testing.assert_close(picture.srgb[outside], background[outside], atol=1e-6, rtol=0)
    expected = srgb_to_linear(on_black.srgb) + (1 - coverage) * srgb_to_linear(background)
    torch.testing.assert_close(srgb_to_linear(picture.srgb), expected, atol=1e-6, rtol=0)


def test_turning_sphere_and_light_together_about_the_axis_turns_the_picture(sphere):
    vertices, triangles = sphere
    quarter_turn = matrix_from_axis_angle(torch.tensor([0.0, 0.0, torch.pi / 2], dtype=torch.float64))
    before = render_shading(vertices, side_light(), intrinsics(), triangles, SIZE_PX, SIZE_PX).srgb
    light = rotate_light(side_light(), quarter_turn)
    after = render_shading(vertices @ quarter_turn.mT, light, intrinsics(), triangles, SIZE_PX, SIZE_PX).srgb
    # Counter-clockwise for the viewer. Pixel centres on an edge may fall to the neighbouring triangle.
    torch.testing.assert_close(after, torch.rot90(before, 1, dims=(1, 2)), atol=0.02, rtol=0)


def test_convention_a_light_from_the_right_lights_the_right_half_of_the_picture(small_sphere):
    vertices, triangles = small_sphere
    light = preset_light("right").double()[None]
    row = render_shading(vertices, light, intrinsics(), triangles, SIZE_PX, SIZE_PX).srgb[0, SIZE_PX // 2, :, 0]
    assert row[SIZE_PX // 2 + 10] > row[SIZE_PX // 2 - 10] + 0.2


def test_convention_a_light_from_above_lights_the_top_rows(small_sphere):
    vertices, triangles = small_sphere
    light = preset_light("top").double()[None]
    column = render_shading(vertices, light, intrinsics(), triangles, SIZE_PX, SIZE_PX).srgb[0, :, SIZE_PX // 2, 0]
    assert column[SIZE_PX // 2 - 10] > column[SIZE_PX // 2 + 10] + 0.2


def test_a_batch_renders_as_its_pictures_alone(small_sphere):
    vertices, triangles = small_sphere
    both = torch.cat((vertices, vertices + torch.tensor([10.0, -5.0, -100.0])))
    lights = torch.cat((side_light(), side_light(0.4)))
    albedo = torch.full_like(both, 0.5)
    cameras = torch.stack((intrinsics(), intrinsics(40)))
    batch = render_picture(both, albedo, lights, cameras, triangles, SIZE_PX, SIZE_PX)
    for index in range(2):
        one = slice(index, index + 1)
        alone = render_picture(both[one], albedo[one], lights[one], cameras[index], triangles, SIZE_PX, SIZE_PX)
        torch.testing.assert_close(batch.srgb[one], alone.srgb)


def test_too_much_and_negative_light_stay_within_the_display(small_sphere):
    vertices, triangles = small_sphere
    picture = render_shading(vertices, side_light(50.0), intrinsics(), triangles, SIZE_PX, SIZE_PX)
    assert picture.srgb.min() == 0.0
    assert picture.srgb.max() <= 1.0


def test_shading_is_lit_grey(small_sphere):
    vertices, triangles = small_sphere
    white = ambient_light(torch.ones(1, 3, dtype=torch.float64))
    middle = render_shading(vertices, white, intrinsics(), triangles, SIZE_PX, SIZE_PX).srgb[0, 24, 24]
    expected = linear_to_srgb(torch.full((3,), GREY_ALBEDO_LINEAR, dtype=torch.float64))
    torch.testing.assert_close(middle, expected)


def test_gradients_to_albedo_and_light_are_right(icosphere):
    vertices, triangles = icosphere(0)
    posed = (RADIUS_MM * torch.from_numpy(vertices) + CENTRE)[None]
    albedo = torch.full_like(posed, 0.4).requires_grad_()
    light = (side_light(0.3) + ambient_light(torch.full((1, 3), 0.4, dtype=torch.float64))).requires_grad_()

    def draw(albedo, light):
        return render_picture(posed, albedo, light, intrinsics(8), torch.from_numpy(triangles), 8, 8).srgb

    assert gradcheck(draw, (albedo, light))


def test_no_subpixels_are_refused(small_sphere):
    vertices, triangles = small_sphere
    with pytest.raises(ValueError, match="at least 1, got 0"):
        render_geometry(vertices, intrinsics(), triangles, 8, 8, supersample=0)
