# SPDX-License-Identifier: Apache-2.0
"""Crop to dense landmarks: MediaPipe's 478 points, which of them can be seen, and whether there is a face (torch).

Place in the flow: what `train/landmarks.py` trains, `infer/export.py` writes as a graph and
`photo/network_landmarks.py` runs without torch. The trunk is made of the backbone's blocks, fewer and narrower. The
head looks at the places of the last two feature maps one by one, instead of averaging over them: where something is
seen is the answer itself.

    128 px ─stem─► 64² × 16 ─fused─► 32² × 32 ─fused─► 16² × 64 ─5 bottlenecks─► 8² × 96 ─4 bottlenecks─► 4² × 128
                                                                       │ 1 × 1                     │ 1 × 1
                                                                    8² × 16 ──────── joined ──── 4² × 48
                                                          1792 ─linear─► 192 ─linear─► 478 × (x, y, seen), face
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.backbone import (
    BottleneckStage,
    FusedStage,
    InvertedBottleneck,
    convolution,
    initialise,
)
from facefactor.photo.landmarks import NUM_LANDMARKS

STEM_CHANNELS = 16
FUSED_STAGES = (FusedStage(32, 32), FusedStage(64, 64))
FINE_STAGES = (
    BottleneckStage(0, 5, 2, 96, 3),
    BottleneckStage(0, 3, 1, 96, 2),
    BottleneckStage(0, 3, 1, 96, 2),
    BottleneckStage(0, 3, 1, 96, 2),
    BottleneckStage(0, 3, 1, 96, 2),
)
COARSE_STAGES = (
    BottleneckStage(3, 3, 2, 128, 4),
    BottleneckStage(0, 5, 1, 128, 2),
    BottleneckStage(0, 5, 1, 128, 2),
    BottleneckStage(0, 3, 1, 128, 2),
)
FINE_PLACES, COARSE_PLACES = (ENCODER_CROP_PX // 16) ** 2, (ENCODER_CROP_PX // 32) ** 2
FINE_HEAD_CHANNELS, COARSE_HEAD_CHANNELS = 16, 48
NUM_HIDDEN = 192
"""Numbers between places and points: more than the ways in which the points of faces move."""


class LandmarkAnswer(NamedTuple):
    """What the network says of a batch of crops."""

    points_px: Float[Tensor, "batch 478 2"]
    """Pixels of the crop; may lie outside it."""
    visibility_logits: Float[Tensor, "batch 478"]
    """Log odds that a point can be seen."""
    face_logits: Float[Tensor, " batch"]
    """Log odds that the crop shows a face, about upright and in its middle."""


class LandmarkNetwork(nn.Module):
    """The network from crops of ENCODER_CROP_PX pixels to landmarks."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(3, STEM_CHANNELS, kernel=3, stride=2)]
        channels = STEM_CHANNELS
        for stage in FUSED_STAGES:
            layers += [convolution(channels, stage.middle, kernel=3, stride=2)]
            layers += [convolution(stage.middle, stage.channels, kernel=1)]
            channels = stage.channels
        self.stem = nn.Sequential(*layers)
        self.fine, channels = _bottlenecks(channels, FINE_STAGES)
        self.fine_head = convolution(channels, FINE_HEAD_CHANNELS, kernel=1)
        self.coarse, channels = _bottlenecks(channels, COARSE_STAGES)
        self.coarse_head = convolution(channels, COARSE_HEAD_CHANNELS, kernel=1)
        num_places = FINE_PLACES * FINE_HEAD_CHANNELS + COARSE_PLACES * COARSE_HEAD_CHANNELS
        self.hidden = nn.Sequential(
            nn.Linear(num_places, NUM_HIDDEN, bias=False), nn.BatchNorm1d(NUM_HIDDEN), nn.ReLU()
        )
        initialise(self)
        self.points = nn.Linear(NUM_HIDDEN, 2 * NUM_LANDMARKS)
        self.visibility = nn.Linear(NUM_HIDDEN, NUM_LANDMARKS)
        self.face = nn.Linear(NUM_HIDDEN, 1)
        for last in (self.points, self.visibility, self.face):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, crops_srgb: Float[Tensor, "batch 3 128 128"]) -> LandmarkAnswer:
        """Look at crops, sRGB in [0, 1]."""
        centred = (2.0 * crops_srgb - 1.0).contiguous(memory_format=torch.channels_last)
        fine = self.fine(self.stem(centred))
        places = self.fine_head(fine).flatten(1), self.coarse_head(self.coarse(fine)).flatten(1)
        hidden = self.hidden(torch.cat(places, dim=1))
        half = ENCODER_CROP_PX / 2
        points_px = half + half * self.points(hidden).unflatten(1, (NUM_LANDMARKS, 2))
        return LandmarkAnswer(points_px, self.visibility(hidden), self.face(hidden).flatten())

    @torch.no_grad()
    def start_at(self, points_px: Float[Tensor, "478 2"]) -> None:
        """Let the untrained network answer these points, whatever the crop."""
        half = ENCODER_CROP_PX / 2
        self.points.bias.copy_(((points_px - half) / half).flatten())


def _bottlenecks(channels: int, stages: tuple[BottleneckStage, ...]) -> tuple[nn.Sequential, int]:
    """The blocks one after the other, and how many channels come out."""
    blocks = nn.Sequential()
    for stage in stages:
        blocks.append(InvertedBottleneck(channels, stage))
        channels = stage.channels
    return blocks, channels
