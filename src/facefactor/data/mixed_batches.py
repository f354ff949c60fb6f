# SPDX-License-Identifier: Apache-2.0
"""Training batches of photos, beside them pairs of one person, and rendered faces whose codes are known (torch)."""

from dataclasses import dataclass

from facefactor.data.batch import CropBatch
from facefactor.data.epochs import StepBatches
from facefactor.data.photographs import PhotoBatches
from facefactor.data.same_person import PairBatches
from facefactor.data.synthetic_corpus import SyntheticBatches


@dataclass(frozen=True, eq=False)
class MixedBatch:
    """What an encoder learns from in one step."""

    photos: CropBatch
    faces: CropBatch | None = None
    """Rendered, with exact codes."""
    pairs: CropBatch | None = None
    """Photos, of which 2 k and 2 k + 1 show one person."""


@dataclass(frozen=True)
class MixedBatches(StepBatches[MixedBatch]):
    """The endless stream of training batches of one process.

    Args:
        photos: real faces.
        faces: rendered ones; None for photos alone.
        pairs: photos of the same people; None where it is not known who they show.
    """

    photos: PhotoBatches
    faces: SyntheticBatches | None = None
    pairs: PairBatches | None = None

    def __getitem__(self, step: int) -> MixedBatch:
        """Read the batch of a step, 0 and up."""
        return MixedBatch(
            self.photos[step],
            None if self.faces is None else self.faces[step],
            None if self.pairs is None else self.pairs[step],
        )
