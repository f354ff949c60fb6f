# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from torch import Tensor

from facefactor.losses.photometric import (
    DISTANCE_FLOOR,
    colour_distance,
    explained_share,
    photometric_loss,
    projected_areas,
)


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def square_grid(cells: int, side_px: float, faces_camera: bool = True) -> tuple[Tensor, Tensor]:
    """Positions (1, V, 2) of a square in the picture, y down, and its triangles, seen from outside or from inside."""
    ticks = torch.linspace(0, side_px, cells + 1, dtype=torch.float64) + 10.0
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    corner = (torch.arange(cells)[:, None] * (cells + 1) + torch.arange(cells)).flatten()
    right, below, across = corner + 1, corner + cells + 1, corner + cells + 2
    # Going down first, then right, turns counter-clockwise as a viewer sees it.
    triangles = torch.cat([torch.stack([corner, below, across], dim=1), torch.stack([corner, across, right], dim=1)])
    return torch.stack([x, y], dim=-1).reshape(1, -1, 2), triangles if faces_camera else triangles.flip(1)


def test_the_distance_is_euclidean_and_has_a_floor():
    photo, rendered = draw(2, 5, 3), draw(2, 5, 3, seed=1)
    expected = ((photo - rendered).norm(dim=-1) ** 2 + DISTANCE_FLOOR**2).sqrt()
    torch.testing.assert_close(colour_distance(photo, rendered), expected)
    assert (colour_distance(photo, photo) == DISTANCE_FLOOR).all()


def test_black_and_white_are_the_root_of_three_apart():
    distance = colour_distance(torch.zeros(1, 1, 3), torch.ones(1, 1, 3))
    assert float(distance) == pytest.approx(math.sqrt(3), abs=DISTANCE_FLOOR**2)


def test_the_gradient_of_equal_colours_is_zero_and_not_nan():
    colour = draw(1, 4, 3).requires_grad_()
    colour_distance(draw(1, 4, 3), colour).sum().backward()
    assert torch.equal(colour.grad, torch.zeros_like(colour))


def test_the_loss_is_the_weighted_mean():
    distance, weights = torch.tensor([[1.0, 2.0, 4.0], [3.0, 3.0, 3.0]]), torch.tensor([[1.0, 0.0, 3.0], [0.2, 0.5, 9]])
    assert photometric_loss(distance, weights).tolist() == pytest.approx([13 / 4, 3.0])


def test_the_loss_does_not_change_with_the_scale_of_the_weights():
    distance, weights = draw(3, 10), draw(3, 10, seed=1)
    torch.testing.assert_close(photometric_loss(distance, 250 * weights), photometric_loss(distance, weights))


def test_a_face_of_which_nothing_is_seen_has_no_loss():
    assert photometric_loss(draw(1, 4), torch.zeros(1, 4)).tolist() == [0.0]


def test_gradients_are_those_of_the_formula():
    photo, rendered, weights = draw(2, 4, 3), draw(2, 4, 3, seed=1), draw(2, 4, seed=2)
    photo.requires_grad_(), rendered.requires_grad_(), weights.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p, r, w: photometric_loss(colour_distance(p, r), w), (photo, rendered, weights)
    )


def test_the_share_of_a_median_distance_follows_the_formula():
    distance = torch.tensor([[0.05, 0.1, 0.2]])
    share = explained_share(distance, torch.ones(1, 3, dtype=torch.bool), tolerance=2.0)
    assert share.tolist()[0] == pytest.approx([(1 + (d / 0.2) ** 2) ** -2 for d in (0.05, 0.1, 0.2)])


def test_what_the_model_cannot_explain_weighs_almost_nothing():
    distance = 0.04 + 0.02 * draw(1, 100)
    distance[0, :20] = 0.8  # hair over a fifth of the face
    share = explained_share(distance, torch.ones(1, 100, dtype=torch.bool), tolerance=3.0)
    assert share[0, :20].max() < 0.02
    assert share[0, 20:].min() > 0.6


def test_a_photo_that_fits_badly_everywhere_is_judged_by_its_own_median():
    distance, used = draw(1, 50) + 0.5, torch.ones(1, 50, dtype=torch.bool)
    torch.testing.assert_close(explained_share(3 * distance, used, 3.0), explained_share(distance, used, 3.0))


def test_unused_vertices_do_not_set_the_scale():
    distance = draw(1, 50) + 0.5
    used = torch.ones(1, 50, dtype=torch.bool)
    used[0, 25:] = False
    spoiled = distance.clone()
    spoiled[0, 25:] = 1000.0
    torch.testing.assert_close(
        explained_share(distance, used, 3.0)[0, :25], explained_share(spoiled, used, 3.0)[0, :25]
    )


def test_a_perfect_fit_and_an_unseen_face_give_numbers():
    zero = torch.zeros(1, 4)
    assert explained_share(zero, torch.ones(1, 4, dtype=torch.bool), 3.0).tolist() == [[1.0] * 4]
    used = torch.tensor([[False] * 4, [True] * 4])
    share = explained_share(torch.ones(2, 4), used, 3.0)
    assert photometric_loss(torch.ones(2, 4), used * share).tolist() == [0.0, 1.0]


def test_the_share_carries_no_gradient():
    distance = draw(1, 5).requires_grad_()
    assert not explained_share(distance, torch.ones(1, 5, dtype=torch.bool), 3.0).requires_grad


def test_areas_of_a_square_that_faces_the_camera_sum_to_its_pixels():
    for cells in (1, 3, 8):  # however fine the mesh
        positions, triangles = square_grid(cells, 20.0)
        assert float(projected_areas(positions, triangles).sum()) == pytest.approx(400.0)


def test_a_square_seen_from_behind_has_no_area():
    positions, triangles = square_grid(4, 20.0, faces_camera=False)
    assert projected_areas(positions, triangles).abs().max() == 0


def test_each_vertex_takes_a_third_of_its_triangles():
    positions = torch.tensor([[[0.0, 0.0], [0.0, 6.0], [6.0, 6.0], [6.0, 0.0]]])
    areas = projected_areas(positions, torch.tensor([[0, 1, 2], [0, 2, 3]]))
    assert areas.tolist() == [[12.0, 6.0, 12.0, 6.0]]


def test_areas_grow_with_the_square_of_the_picture_and_carry_no_gradient():
    positions, triangles = square_grid(3, 10.0)
    positions.requires_grad_()
    areas = projected_areas(positions, triangles)
    assert not areas.requires_grad
    torch.testing.assert_close(projected_areas(2 * positions, triangles), 4 * areas)
