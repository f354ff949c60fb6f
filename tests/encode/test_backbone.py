# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.backbone import NUM_FEATURES, Backbone, BottleneckStage, InvertedBottleneck


@pytest.fixture
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone().eval()


def random_crops(count: int) -> torch.Tensor:
    return torch.rand(count, 3, ENCODER_CROP_PX, ENCODER_CROP_PX, generator=torch.Generator().manual_seed(1))


def test_crops_become_features(backbone: Backbone):
    features = backbone(random_crops(2))
    assert features.shape == (2, NUM_FEATURES)
    assert features.isfinite().all()


def test_the_network_has_the_published_size(backbone: Backbone):
    # 2.50 million with MobileNetV4-Conv-S's own average over places, whose learnt weights add 960 × 4 × 4.
    assert sum(parameter.numel() for parameter in backbone.parameters()) == pytest.approx(2.5e6, rel=0.01)


def test_every_weight_gets_a_gradient(backbone: Backbone):
    backbone.train()(random_crops(2)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in backbone.parameters())


def test_places_count_the_same_at_first(backbone: Backbone):
    maps = torch.rand(2, 960, 4, 4)
    torch.testing.assert_close((maps * backbone.place_weights).sum(dim=(2, 3)), maps.mean(dim=(2, 3)))


def test_the_memory_format_changes_no_feature(backbone: Backbone):
    crops = random_crops(2)
    torch.testing.assert_close(backbone(crops), backbone(crops.contiguous(memory_format=torch.channels_last)))


def test_a_bottleneck_whose_projection_is_zero_is_the_identity():
    block = InvertedBottleneck(8, BottleneckStage(3, 3, 1, 8, 2)).eval()
    torch.nn.init.zeros_(block.layers[-1][0].weight)
    maps = torch.rand(1, 8, 6, 6)
    assert torch.equal(block(maps), maps)


@pytest.mark.parametrize("kernels", [(5, 5), (0, 3), (3, 0)])
def test_a_bottleneck_of_stride_two_halves_the_map(kernels: tuple[int, int]):
    block = InvertedBottleneck(8, BottleneckStage(*kernels, 2, 12, 2)).eval()
    assert block(torch.rand(1, 8, 6, 6)).shape == (1, 12, 3, 3)


def test_crops_of_another_size_are_refused(backbone: Backbone):
    with pytest.raises(ValueError, match="must be 128 px wide, got 96 px"):
        backbone(torch.rand(1, 3, 96, 96))
