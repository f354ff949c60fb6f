# SPDX-License-Identifier: Apache-2.0
"""CropBatch: what every source of training data yields and every objective takes (torch)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facefactor.code.face_code import FaceCode


@dataclass(frozen=True, eq=False)
class CropBatch:
    """Encoder crops with what is known of them."""

    crops_srgb: Float[Tensor, "batch 3 height width"]
    """sRGB-encoded, [0, 1]."""
    landmarks_px: Float[Tensor, "batch 478 2"]
    """Pixels of the crop; may lie outside it."""
    visibility: Float[Tensor, "batch 478"]
    """How far to trust each landmark, [0, 1]."""
    code: FaceCode[Tensor] | None = None
    """The exact faces in the crops' camera, when they were rendered."""
    coverage: Bool[Tensor, "batch height width"] | None = None
    """Which pixels show the photo, when it may end within the crop; its border pixels are repeated in the others."""

    def __len__(self) -> int:
        return len(self.crops_srgb)

    @property
    def covered(self) -> Float[Tensor, "batch height width 1"]:
        """1 where a crop shows its photo, 0 where it lies outside."""
        if self.coverage is None:
            return torch.ones_like(self.crops_srgb[:, 0, :, :, None])
        return self.coverage.to(self.crops_srgb)[..., None]

    def to(self, device: torch.device | str) -> "CropBatch":
        """Copy to a device; where all is there already, nothing is copied."""
        return replace(
            self,
            crops_srgb=self.crops_srgb.to(device),
            landmarks_px=self.landmarks_px.to(device),
            visibility=self.visibility.to(device),
            code=None if self.code is None else self.code.map(lambda part: part.to(device)),
            coverage=None if self.coverage is None else self.coverage.to(device),
        )


def join_batches(batches: Sequence[CropBatch]) -> CropBatch:
    """Lay batches end to end, at least one; all of them have codes or none, and all tell what is covered or none."""
    if len(batches) == 1:
        return batches[0]

    def join(parts: Sequence[Tensor | None]) -> Tensor | None:
        known = [part for part in parts if part is not None]
        return torch.cat(known) if known else None

    packed = join([None if batch.code is None else batch.code.pack() for batch in batches])
    return CropBatch(
        torch.cat([batch.crops_srgb for batch in batches]),
        torch.cat([batch.landmarks_px for batch in batches]),
        torch.cat([batch.visibility for batch in batches]),
        None if packed is None else FaceCode.unpack(packed),
        join([batch.coverage for batch in batches]),
    )
