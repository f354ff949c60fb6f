# SPDX-License-Identifier: Apache-2.0
"""Crop to features: a small convolutional network for CPUs, after MobileNetV4's small convolutional model.

Place in the flow: `encoder.py` puts the heads on it, and `landmark_network.py` is made of the same blocks. The stages
are those of MobileNetV4-Conv-S (Qin et al. 2024, arXiv:2404.10518, table 11): dense 3 × 3 convolutions while there are
few channels, then universal inverted bottlenecks, x + project(depthwise(expand(depthwise(x)))), in which either
depthwise convolution may be left out.

    128 px ─stem─► 64² × 32 ─fused─► 32² × 32 ─fused─► 16² × 64 ─6 bottlenecks─► 8² × 96 ─6 bottlenecks─► 4² × 128
           ─1 × 1─► 4² × 960 ─weigh places─► 960 ─linear─► 1280

One thing differs: in place of the average over the last 4 × 4 places stands a learnt weight for each channel and place
(the global depthwise convolution of MobileFaceNets, Chen et al. 2018, arXiv:1804.07573). Faces are aligned, so it
matters where in the crop something is seen; at the start the weights are the average's.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.encode import ENCODER_CROP_PX

NUM_FEATURES = 1280
STEM_CHANNELS = 32
WIDEST_CHANNELS = 960
STRIDE = 32
"""Crop pixels per place of the last feature map."""
NORMALISATION_EPSILON = 1e-3
"""Added to a channel's variance: depthwise channels that are nearly always zero must not be enlarged a hundredfold."""


class FusedStage(NamedTuple):
    """A dense 3 × 3 convolution of stride two, and a 1 × 1 convolution."""

    middle: int
    channels: int


class BottleneckStage(NamedTuple):
    """One universal inverted bottleneck; a kernel of 0 leaves that depthwise convolution out."""

    first_kernel: int
    middle_kernel: int
    stride: int
    channels: int
    expansion: int


FUSED_STAGES = (FusedStage(32, 32), FusedStage(96, 64))
BOTTLENECK_STAGES = (
    BottleneckStage(5, 5, 2, 96, 3),
    BottleneckStage(0, 3, 1, 96, 2),
    BottleneckStage(0, 3, 1, 96, 2),
    BottleneckStage(0, 3, 1, 96, 2),
    BottleneckStage(0, 3, 1, 96, 2),
    BottleneckStage(3, 0, 1, 96, 4),
    BottleneckStage(3, 3, 2, 128, 6),
    BottleneckStage(5, 5, 1, 128, 4),
    BottleneckStage(0, 5, 1, 128, 4),
    BottleneckStage(0, 5, 1, 128, 3),
    BottleneckStage(0, 3, 1, 128, 4),
    BottleneckStage(0, 3, 1, 128, 4),
)


class Backbone(nn.Module):
    """The network from pixels to features. Fast in torch's channels_last memory format, which it is made in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, STEM_CHANNELS, kernel=3, stride=2)
        self.fused = nn.Sequential()
        channels = STEM_CHANNELS
        for stage in FUSED_STAGES:
            self.fused.append(convolution(channels, stage.middle, kernel=3, stride=2))
            self.fused.append(convolution(stage.middle, stage.channels, kernel=1))
            channels = stage.channels
        self.bottlenecks = nn.Sequential()
        for bottleneck in BOTTLENECK_STAGES:
            self.bottlenecks.append(InvertedBottleneck(channels, bottleneck))
            channels = bottleneck.channels
        self.widen = convolution(channels, WIDEST_CHANNELS, kernel=1)
        places = ENCODER_CROP_PX // STRIDE
        self.place_weights = nn.Parameter(torch.full((WIDEST_CHANNELS, places, places), 1 / places**2))
        self.features = nn.Sequential(
            nn.Linear(WIDEST_CHANNELS, NUM_FEATURES, bias=False),
            nn.BatchNorm1d(NUM_FEATURES, eps=NORMALISATION_EPSILON),
            nn.ReLU(),
        )
        initialise(self)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, crops_srgb: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch features"]:
        """Look at crops of ENCODER_CROP_PX pixels, sRGB in [0, 1].

        Raises:
            ValueError: the crops have another size.
        """
        if crops_srgb.shape[-1] != ENCODER_CROP_PX:
            raise ValueError(f"the encoder's crops must be {ENCODER_CROP_PX} px wide, got {crops_srgb.shape[-1]} px")
        centred = (2.0 * crops_srgb - 1.0).contiguous(memory_format=torch.channels_last)
        places = self.widen(self.bottlenecks(self.fused(self.stem(centred))))
        return self.features((places * self.place_weights).sum(dim=(2, 3)))


class InvertedBottleneck(nn.Module):
    """Expand the channels, look around with depthwise convolutions, project back; added to its input where it fits."""

    def __init__(self, channels: int, stage: BottleneckStage) -> None:
        super().__init__()
        wide = channels * stage.expansion
        first_stride = 1 if stage.middle_kernel else stage.stride
        layers: list[nn.Module] = []
        if stage.first_kernel:
            layers.append(convolution(channels, channels, stage.first_kernel, first_stride, channels, active=False))
        layers.append(convolution(channels, wide, kernel=1))
        if stage.middle_kernel:
            layers.append(convolution(wide, wide, stage.middle_kernel, stage.stride, groups=wide))
        layers.append(convolution(wide, stage.channels, kernel=1, active=False))
        self.layers = nn.Sequential(*layers)
        self.is_residual = stage.stride == 1 and channels == stage.channels

    def forward(self, maps: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch out rows columns"]:
        """Apply the block to feature maps."""
        return maps + self.layers(maps) if self.is_residual else self.layers(maps)


def convolution(
    channels: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
) -> nn.Sequential:
    """Convolution and batch normalisation, then a ReLU if active."""
    convolution = nn.Conv2d(channels, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(channels_out, eps=NORMALISATION_EPSILON)]
    return nn.Sequential(*layers, nn.ReLU()) if active else nn.Sequential(*layers)


def initialise(network: nn.Module) -> None:
    """Kaiming's normal weights for what is seen through a ReLU (He et al. 2015), by each output's inputs."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
