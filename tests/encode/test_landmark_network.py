# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.landmark_network import LandmarkNetwork


@pytest.fixture
def network() -> LandmarkNetwork:
    torch.manual_seed(0)
    return LandmarkNetwork()


def random_crops(count: int) -> torch.Tensor:
    return torch.rand(count, 3, ENCODER_CROP_PX, ENCODER_CROP_PX, generator=torch.Generator().manual_seed(1))


def test_the_untrained_network_answers_the_points_it_starts_at(network: LandmarkNetwork):
    points_px = 128 * torch.rand(478, 2, generator=torch.Generator().manual_seed(2))
    network.start_at(points_px)
    answer = network.eval()(random_crops(2))
    torch.testing.assert_close(answer.points_px, points_px.expand(2, 478, 2))
    assert answer.visibility_logits.shape == (2, 478)
    assert answer.face_logits.shape == (2,)


def test_every_weight_gets_a_gradient(network: LandmarkNetwork):
    for last in (network.points, network.visibility, network.face):
        torch.nn.init.normal_(last.weight, std=0.05)
    answer = network.train()(random_crops(4))
    (answer.points_px.square().mean() + answer.visibility_logits.square().mean() + answer.face_logits.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_where_something_is_seen_changes_the_answer(network: LandmarkNetwork):
    """A global average could not tell a crop from the same crop moved by some of the last map's places."""
    torch.nn.init.normal_(network.points.weight, std=0.05)
    dot = torch.zeros(2, 3, ENCODER_CROP_PX, ENCODER_CROP_PX)
    dot[0, :, 40:48, 40:48] = 1.0
    dot[1, :, 72:80, 72:80] = 1.0
    here, there = network.eval()(dot).points_px
    assert (here - there).abs().max() > 0.01


def test_the_network_is_small(network: LandmarkNetwork):
    assert sum(parameter.numel() for parameter in network.parameters()) < 1.5e6  # 3 MB as float16
