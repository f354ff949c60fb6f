# SPDX-License-Identifier: Apache-2.0
"""The vertex renderer: where vertices fall, how they are lit, which are seen, and what the photo shows there."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.light.spherical_harmonics import directional_light, shade
from facefactor.photo.colour import linear_to_srgb
from facefactor.render.picture import View
from facefactor.render.vertex import MIN_FACING_COSINE, render_vertices, sample_picture

SIZE_PX = 128
CENTRE = torch.tensor([0.0, 0.0, -1000.0], dtype=torch.float64)
K = torch.from_numpy(crop_intrinsics(SIZE_PX))


def sphere_at(icosphere, centre, radius_mm=80.0, num_subdivisions=4):
    vertices, triangles = icosphere(num_subdivisions)
    return (radius_mm * torch.from_numpy(vertices) + centre)[None], torch.from_numpy(triangles)


def light():
    direction, white = torch.tensor([[0.3, 0.5, 0.8]], dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)
    return directional_light(direction, white)


def render(vertices, triangles, albedo_linear=0.6):
    albedo = torch.full_like(vertices, albedo_linear)
    return render_vertices(vertices, albedo, light(), K, triangles, SIZE_PX, SIZE_PX)


def test_positions_depths_and_colours_are_those_of_their_parts(icosphere):
    vertices, triangles = sphere_at(icosphere, CENTRE)
    rendering = render(vertices, triangles)
    torch.testing.assert_close(rendering.positions_px, project_points(vertices, K))
    torch.testing.assert_close(rendering.depth_mm, -vertices[..., 2])
    albedo = torch.full_like(vertices, 0.6)
    torch.testing.assert_close(rendering.colour_linear, shade(albedo, rendering.normals_camera, light()))


def test_of_a_sphere_the_camera_sees_exactly_the_cap_that_faces_it(icosphere):
    vertices, triangles = sphere_at(icosphere, CENTRE)
    rendering = render(vertices, triangles)
    view = -torch.nn.functional.normalize(vertices, dim=-1)
    cosine = (torch.nn.functional.normalize(vertices - CENTRE, dim=-1) * view).sum(-1)
    is_clear = (cosine - MIN_FACING_COSINE).abs() > 0.02  # the facets' normals differ a little from the sphere's
    assert torch.equal(rendering.is_visible[is_clear], (cosine > MIN_FACING_COSINE)[is_clear])


def test_a_ball_in_front_hides_what_is_behind_it(icosphere):
    far, triangles = sphere_at(icosphere, CENTRE)
    near, _ = sphere_at(icosphere, torch.tensor([0.0, 0.0, -800.0], dtype=torch.float64), radius_mm=20.0)
    count = far.shape[1]
    rendering = render(torch.cat((far, near), dim=1), torch.cat((triangles, triangles + count)))
    alone = render(far, triangles)
    offset = torch.linalg.vector_norm(rendering.positions_px[0, :count] - SIZE_PX / 2, dim=-1)
    radius_px = K[0, 0] * 20.0 / (800.0**2 - 20.0**2) ** 0.5
    behind, beside = offset < radius_px - 1.5, offset > radius_px + 1.5
    assert not rendering.is_visible[0, :count][behind].any()
    assert torch.equal(rendering.is_visible[0, :count][beside], alone.is_visible[0, beside])
    assert alone.is_visible[0, behind].any()


def test_a_layer_of_two_millimetres_hides_what_is_under_it(icosphere):
    outer, triangles = sphere_at(icosphere, CENTRE)
    inner, _ = sphere_at(icosphere, CENTRE, radius_mm=78.0)
    count = outer.shape[1]
    rendering = render(torch.cat((outer, inner), dim=1), torch.cat((triangles, triangles + count)))
    is_frontal = rendering.normals_camera[0, :, 2] > 0.9  # flatter, the slope within a pixel of 1.7 mm hides the layer
    assert rendering.is_visible[0, :count][is_frontal[:count]].all()
    assert not rendering.is_visible[0, count:][is_frontal[count:]].any()


def test_vertices_outside_the_picture_or_behind_the_camera_are_not_seen(icosphere):
    shifted, triangles = sphere_at(icosphere, CENTRE + torch.tensor([100.0, 0.0, 0.0]))
    rendering = render(shifted, triangles)
    outside = rendering.positions_px[..., 0] >= SIZE_PX
    assert outside.any()
    assert not rendering.is_visible[outside].any()
    assert rendering.is_visible.any()
    behind, _ = sphere_at(icosphere, -CENTRE)
    assert not render(behind, triangles).is_visible.any()


def test_the_rendered_picture_shows_at_the_vertices_the_colours_of_the_vertex_renderer(icosphere):
    """Two renderers, one face: sampling the picture at the vertices gives the vertices' colours."""
    vertices, triangles = sphere_at(icosphere, CENTRE)
    rendering = render(vertices, triangles)
    view_of_sphere = View(vertices[0].numpy(), K.numpy(), triangles.numpy(), SIZE_PX, SIZE_PX, supersample=1)
    picture = torch.from_numpy(view_of_sphere.picture(np.full((1, 3), 0.6), light()[0].numpy())).double()
    sampled = sample_picture(picture[None], rendering.positions_px)
    view = -torch.nn.functional.normalize(vertices, dim=-1)
    is_inner = rendering.is_visible & ((rendering.normals_camera * view).sum(-1) > 0.4)  # away from the outline
    expected = linear_to_srgb(rendering.colour_linear.clamp(0, 1))
    torch.testing.assert_close(sampled[is_inner], expected[is_inner], atol=0.01, rtol=0)
    assert (sampled[is_inner] - expected[is_inner]).abs().mean() < 1e-3


def test_convention_sampling_at_a_pixel_centre_gives_that_pixel():
    picture = torch.rand(2, 4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(5), indexing="ij")
    centres = torch.stack((columns, rows), dim=-1).reshape(1, -1, 2).expand(2, -1, -1) + 0.5
    torch.testing.assert_close(sample_picture(picture, centres.double()).reshape(2, 4, 5, 3), picture)


def test_a_linear_ramp_is_sampled_exactly_between_pixels():
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(9.0), indexing="ij")
    ramp = torch.stack((columns + 0.5, rows + 0.5), dim=-1)[None]
    positions = torch.tensor([[[1.3, 2.7], [4.5, 5.0], [8.2, 0.9]]])
    torch.testing.assert_close(sample_picture(ramp, positions), positions)


def test_beyond_the_border_the_border_is_read():
    picture = torch.arange(4.0).reshape(1, 2, 2, 1)
    places = torch.tensor([[[-9.0, 0.5], [9.0, 9.0]]])
    assert sample_picture(picture, places).flatten().tolist() == [0.0, 3.0]


def test_gradients_are_right_and_reach_the_place_in_the_photo(icosphere):
    vertices, triangles = sphere_at(icosphere, CENTRE, num_subdivisions=0)
    picture = torch.rand(1, SIZE_PX, SIZE_PX, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def compare(vertices, albedo, illumination):
        rendering = render_vertices(vertices, albedo, illumination, K, triangles, SIZE_PX, SIZE_PX)
        return rendering.colour_linear - sample_picture(picture, rendering.positions_px)

    vertices = vertices + torch.tensor([0.7, 0.3, 0.1])  # so that no vertex falls between two pixels
    albedo = torch.full_like(vertices, 0.5)
    assert gradcheck(compare, [part.requires_grad_() for part in (vertices, albedo, light())])


def test_visibility_carries_no_gradient(icosphere):
    vertices, triangles = sphere_at(icosphere, CENTRE, num_subdivisions=1)
    assert not render(vertices.requires_grad_(), triangles).is_visible.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_light_and_one_albedo_serve_a_batch(icosphere, dtype):
    vertices, triangles = sphere_at(icosphere, CENTRE, num_subdivisions=2)
    both = torch.cat((vertices, vertices + 5.0)).to(dtype)
    albedo = torch.full_like(both[:1], 0.5)
    rendering = render_vertices(both, albedo, light().to(dtype), K.to(dtype), triangles, SIZE_PX, SIZE_PX)
    assert rendering.colour_linear.shape == both.shape
    assert rendering.colour_linear.dtype == dtype


def test_arrays_give_what_tensors_give(icosphere):
    vertices, triangles = sphere_at(icosphere, CENTRE, num_subdivisions=3)
    expected = render(vertices, triangles)
    rendering = render_vertices(
        *(part.numpy() for part in (vertices, torch.full_like(vertices, 0.6), light(), K, triangles)), SIZE_PX, SIZE_PX
    )
    for name, array in vars(rendering).items():
        assert isinstance(array, np.ndarray)
        np.testing.assert_allclose(array, getattr(expected, name).numpy(), atol=1e-9, err_msg=name)
    picture = torch.rand(1, SIZE_PX, SIZE_PX, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sampled = sample_picture(picture.numpy(), rendering.positions_px)
    np.testing.assert_allclose(sampled, sample_picture(picture, expected.positions_px).numpy(), atol=1e-9)
