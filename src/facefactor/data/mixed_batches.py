# SPDX-License-Identifier: Apache-2.0
"""Training batches of photos with some rendered faces, whose codes are known, beside them (torch)."""

from dataclasses import dataclass

from facefactor.data.batch import CropBatch
from facefactor.data.epochs import StepBatches
from facefactor.data.photographs import PhotoBatches
from facefactor.data.synthetic_corpus import SyntheticBatches


@dataclass(frozen=True, eq=False)
class MixedBatch:
    """What an encoder learns from in one step."""

    photos: CropBatch
    faces: CropBatch | None
    """Rendered, with exact codes."""


@dataclass(frozen=True)
class MixedBatches(StepBatches[MixedBatch]):
    """The endless stream of training batches of one process.

    Args:
        photos: real faces.
        faces: rendered ones; None for photos alone.
    """

    photos: PhotoBatches
    faces: SyntheticBatches | None

    def __getitem__(self, step: int) -> MixedBatch:
        """Read the batch of a step, 0 and up."""
        return MixedBatch(self.photos[step], None if self.faces is None else self.faces[step])
