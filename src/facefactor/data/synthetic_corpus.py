# SPDX-License-Identifier: Apache-2.0
"""Batches of synthetic faces out of a corpus that `facefactor synthesize` wrote: training without rendering (torch).

Reading a face takes about a tenth of the time that rendering it takes; the price is that a corpus ends.
"""

from collections.abc import Sequence
from pathlib import Path

from facefactor.data.batch import CropBatch
from facefactor.data.shards import SYNTHETIC, Corpus
from facefactor.data.synthetic import batch_of
from facefactor.data.synthetic_face import SyntheticFace
from facefactor.data.synthetic_sample import cut_encoder_crop, decode_synthetic_sample
from facefactor.errors import AssetMissing, IncompatibleCode


class SyntheticCorpus:
    """The synthetic faces of a corpus, by number, as the encoder sees them.

    Args:
        folder: of the corpus.

    Raises:
        AssetMissing: there is no corpus, it is damaged, or it is empty.
        IncompatibleCode: it is of another version, or holds photos.
    """

    def __init__(self, folder: Path) -> None:
        self._corpus = Corpus(folder)
        if self._corpus.record.kind != SYNTHETIC:
            raise IncompatibleCode(f"{folder}: is a corpus of {self._corpus.record.kind}, expected {SYNTHETIC}")
        if not len(self._corpus):
            raise AssetMissing(f"{folder}: the corpus holds no faces")

    def __len__(self) -> int:
        return len(self._corpus)

    def __getitem__(self, index: int) -> SyntheticFace:
        """Read one face, 0 to len - 1, in the encoder's crop."""
        return cut_encoder_crop(decode_synthetic_sample(self._corpus[index]))

    def read(self, indices: Sequence[int]) -> CropBatch:
        """Read faces into a batch, with their exact codes."""
        return batch_of([self[index] for index in indices])
