# SPDX-License-Identifier: Apache-2.0
"""Batches of synthetic faces out of corpora that `facefactor synthesize` wrote: training without rendering (torch).

Reading a face takes about a tenth of the time that rendering it takes; the price is that a corpus ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facefactor.data.batch import CropBatch, join_batches
from facefactor.data.epochs import EpochOrder, StepBatches
from facefactor.data.shards import SYNTHETIC, JoinedCorpora
from facefactor.data.synthetic import batch_of
from facefactor.data.synthetic_face import SyntheticFace
from facefactor.data.synthetic_sample import cut_encoder_crop, decode_synthetic_sample


class SyntheticCorpus:
    """The synthetic faces of one corpus or of several laid end to end, by number, as the encoder sees them.

    Args:
        folders: of the corpora, at least one. One that is still being written is read as far as it is there now.

    Raises:
        AssetMissing: one of them is no corpus, is damaged, or is empty.
        IncompatibleCode: one is of another version, or holds photos.
    """

    def __init__(self, *folders: Path) -> None:
        self._samples = JoinedCorpora(folders, SYNTHETIC)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> SyntheticFace:
        """Read one face, 0 to len - 1, in the encoder's crop."""
        return cut_encoder_crop(decode_synthetic_sample(self._samples[index]))

    def read(self, indices: Sequence[int]) -> CropBatch:
        """Read faces into a batch, with their exact codes."""
        return batch_of([self[index] for index in indices])

    def digest(self) -> str:
        """See `JoinedCorpora.digest`."""
        return self._samples.digest()


@dataclass(frozen=True)
class SyntheticBatches(StepBatches):
    """The endless stream of training batches of one process, each with the same number of faces of every source.

    Args:
        sources: corpora with the number of faces that a step and process takes of each, at least one.
        seed: of the order, at least 0.
        rank: this process among those of the run.
        world_size: how many processes the run has.

    Raises:
        ValueError: a number is below one, or the rank is none of the run's.
    """

    sources: tuple[tuple[SyntheticCorpus, int], ...]
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        self._orders()  # refuses numbers that make no sense

    def __getitem__(self, step: int) -> CropBatch:
        """Read the batch of a step, 0 and up."""
        draws = [order.draws(step) for order in self._orders()]
        return join_batches([
            corpus.read([index for _, index in drawn]) for (corpus, _), drawn in zip(self.sources, draws, strict=True)
        ])  # fmt: skip

    def _orders(self) -> list[EpochOrder]:
        return [EpochOrder(len(corpus), size, self.seed, self.rank, self.world_size) for corpus, size in self.sources]
