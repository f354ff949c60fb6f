# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from facefactor.losses.correctives import (
    chroma_of,
    magnitude,
    reflectance_constancy,
    reflectance_sparsity,
    smoothness,
)

EDGES = torch.tensor([[0, 1], [1, 2]])


def three(*values: float) -> torch.Tensor:
    """(1, 3 vertices, 3), the same in every channel."""
    return torch.tensor(values)[None, :, None].expand(1, 3, 3).clone()


def test_smoothness_is_the_mean_squared_difference_of_neighbours():
    assert float(smoothness(three(2.0, 2.0, 2.0), EDGES)) == 0.0
    assert float(smoothness(three(0.0, 1.0, 3.0), EDGES)) == pytest.approx((3 * 1 + 3 * 4) / 2)


def test_albedo_may_change_where_the_photos_chroma_does():
    change, plain = three(0.0, 0.0, 0.5), torch.full((1, 3, 3), 1 / 3)
    tinted = plain.clone()
    tinted[0, 2] = torch.tensor([0.5, 0.3, 0.2])
    same, other = (float(reflectance_sparsity(change, chroma, EDGES)) for chroma in (plain, tinted))
    assert same == pytest.approx((0.5 * 3**0.5) ** 0.9 / 2, rel=0.01)
    assert other < 0.01 * same


def test_one_large_change_costs_less_than_many_small_ones():
    chroma = torch.full((1, 3, 3), 1 / 3)
    once, twice = three(0.0, 0.0, 0.4), three(0.0, 0.2, 0.4)
    assert reflectance_sparsity(once, chroma, EDGES) < reflectance_sparsity(twice, chroma, EDGES)
    assert smoothness(once, EDGES) > smoothness(twice, EDGES)


def test_no_gradient_passes_to_the_photos_chroma():
    chroma = torch.full((1, 3, 3), 1 / 3, requires_grad=True)
    log_albedo = three(0.0, 0.1, 0.4).requires_grad_()
    reflectance_sparsity(log_albedo, chroma, EDGES).sum().backward()
    assert chroma.grad is None
    assert log_albedo.grad.isfinite().all()


def test_constancy_compares_skin_with_skin_alone():
    torch.manual_seed(0)
    values = three(0.2, 0.2, 5.0)
    assert float(reflectance_constancy(values, torch.tensor([0, 1]))) == 0.0
    assert sum(float(reflectance_constancy(values, torch.arange(3))) for _ in range(10)) > 0.0


def test_magnitude_is_the_mean_squared_length():
    assert float(magnitude(three(0.0, 1.0, 2.0))) == pytest.approx(3 * (0 + 1 + 4) / 3)


def test_chroma_is_the_share_of_each_channel_whatever_the_brightness():
    colour = torch.tensor([0.4, 0.3, 0.1])
    torch.testing.assert_close(chroma_of(colour), chroma_of(0.5 * colour))
    assert chroma_of(torch.zeros(3)).abs().max() == 0.0
