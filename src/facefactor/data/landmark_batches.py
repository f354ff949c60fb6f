# SPDX-License-Identifier: Apache-2.0
"""Batches of faces with their landmarks, of photos, renders and what is neither (torch).

    corpora ─epochs─► stored crops ─┬─ look, cut off, cover, shrink ─┬─► LandmarkBatch
                                    └─ miss ─────────────────────────┘

What is known differs by source. On renders the points are exact wherever they are, and so is their visibility. On
photos the points are the teacher's, whose visibility says how far to trust each; whether it can be seen is not known.
"""

import bisect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from facefactor.data.crops import cut_landmarks, exact_crop
from facefactor.data.epochs import EpochOrder, StepBatches
from facefactor.data.looks import FIRST_LOOK, FURTHER_LOOK, cover, cut_look, cut_off, draw_look, draw_miss, shrink
from facefactor.data.photo_effects import degrade
from facefactor.data.photo_sample import decode_photo_sample
from facefactor.data.shards import PHOTOGRAPHS, SYNTHETIC, Corpus, Sample
from facefactor.data.synthetic_sample import decode_synthetic_sample
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.photo.landmarks import NUM_LANDMARKS

MOST_KEPT = 20_000
"""Faces of a source that stay in memory, 85 kB each: reading one takes longer than cutting a crop out of it."""
FIRST_LOOK_SHARE = 0.3
"""Of the looks; the others are further looks, on which the accuracy depends."""
CUT_OFF_SHARE, COVER_SHARE, SHRINK_SHARE, DEGRADE_SHARE = 0.06, 0.15, 0.15, 0.3
"""Of the crops to which each is done; renders are degraded when they are made, so only photos are here."""


Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class LandmarkBatch:
    """Crops of ENCODER_CROP_PX pixels with what is known of their landmarks."""

    crops_srgb: UInt8[Tensor, "batch 3 128 128"]
    """sRGB-encoded, in bytes, which is what loader processes hand over fastest."""
    points_px: Float[Tensor, "batch 478 2"]
    """Pixels of the crop; may lie outside it."""
    trust: Float[Tensor, "batch 478"]
    """In each point's place, [0, 1]; zero for misses."""
    is_seen: Float[Tensor, "batch 478"]
    """One where nothing hides a point of a render."""
    is_render: Bool[Tensor, " batch"]
    """Where is_seen is known."""
    is_face: Bool[Tensor, " batch"]
    """False for misses."""

    def __len__(self) -> int:
        return len(self.crops_srgb)

    def decoded(self) -> Float[Tensor, "batch 3 128 128"]:
        """The crops as networks take them, sRGB in [0, 1]."""
        return self.crops_srgb.float() / 255.0

    def to(self, device: torch.device | str) -> "LandmarkBatch":
        """Copy to a device."""
        return LandmarkBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True, eq=False)
class StoredFace:
    """A stored crop with its landmarks, of a photo or rendered."""

    crop_srgb: NDArray[np.uint8]
    """(160, 160, 3)."""
    points_px: NDArray[np.floating]
    """(478, 2) stored pixels."""
    trust: NDArray[np.floating]
    is_seen: NDArray[np.floating]
    """(478,) each, as in a batch."""
    is_render: bool


class StoredFaces:
    """The samples of corpora of photos or of renders, laid end to end, by number.

    Args:
        folders: of the corpora, at least one. One that is still being written is read as far as it is there now.

    Raises:
        AssetMissing: one is no corpus, is damaged, or is empty.
        IncompatibleCode: one is of another version or kind.
    """

    def __init__(self, *folders: Path) -> None:
        self._corpora = [_open(folder) for folder in folders]
        self._starts = list(itertools.accumulate(map(len, self._corpora), initial=0))
        self._kept: dict[int, StoredFace] = {}

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> StoredFace:
        """Read one face, 0 to len - 1; the first MOST_KEPT that are read are kept."""
        if index not in self._kept:
            face = self._read(index)
            if len(self._kept) >= MOST_KEPT:
                return face
            self._kept[index] = face
        return self._kept[index]

    def _read(self, index: int) -> StoredFace:
        if not 0 <= index < len(self):
            raise IndexError(f"the corpora hold {len(self)} faces, got index {index}")
        number = bisect.bisect_right(self._starts, index) - 1
        corpus = self._corpora[number]
        return _DECODERS[corpus.record.kind](corpus[index - self._starts[number]])

    def ask(self, question: Callable[[NDArray[np.float64]], Answer]) -> list[Answer]:
        """What a function says of each face's landmarks, (478, 2) stored pixels; reads those of all of them."""
        samples = itertools.chain.from_iterable(self._corpora)
        return [question(np.asarray(sample.json()["landmarks_px"])) for sample in samples]

    def read_exact(self, indices: Sequence[int]) -> LandmarkBatch:
        """Read faces as further looks see them when they are right, for validation."""
        return _join([_look_at(self[index], exact_crop()) for index in indices])

    def records(self) -> list[dict[str, Any]]:
        """What the corpora hold: the kind, settings and shards of each."""
        return [
            {
                "kind": corpus.record.kind,
                "settings": dict(corpus.record.settings),
                "shards": [(shard.name, shard.samples) for shard in corpus.record.shards],
            }
            for corpus in self._corpora
        ]


@dataclass(frozen=True)
class Source:
    """Faces, and how many of them each process sees in a step."""

    faces: StoredFaces
    indices: tuple[int, ...]
    """The faces to learn from, by number."""
    per_step: int


@dataclass(frozen=True)
class LandmarkBatches(StepBatches[LandmarkBatch]):
    """The endless stream of training batches of one process.

    Args:
        sources: of the faces.
        misses_per_step: crops without a face, made of the faces of all sources in turn.
        seed: of order, looks and misses, at least 0.
        rank: this process among those of the run.
        world_size: how many processes the run has.

    Raises:
        ValueError: a number makes no sense.
    """

    sources: tuple[Source, ...]
    misses_per_step: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        self._orders  # refuses numbers that make no sense  # noqa: B018

    def __getitem__(self, step: int) -> LandmarkBatch:
        """Make the batch of a step, 0 and up."""
        crops = []
        for number, (source, order) in enumerate(zip(self.sources, self._orders, strict=True)):
            for epoch, place in order.draws(step):
                generator = np.random.default_rng((self.seed, number, epoch, place))
                crops.append(draw_crop_of(source.faces[source.indices[place]], generator))
        for number in range(self.misses_per_step):
            generator = np.random.default_rng((self.seed, len(self.sources), self.rank, step, number))
            source = self.sources[number % len(self.sources)]
            face = source.faces[int(generator.choice(source.indices))]
            crops.append(_miss(draw_miss(face.crop_srgb, generator)))
        return _join(crops)

    @cached_property
    def _orders(self) -> tuple[EpochOrder, ...]:
        return tuple(
            EpochOrder(len(source.indices), source.per_step, self.seed, self.rank, self.world_size)
            for source in self.sources
        )


@dataclass(frozen=True, eq=False)
class _Crop:
    """One line of a batch."""

    crop_srgb: NDArray[np.uint8]
    points_px: NDArray[np.floating]
    trust: NDArray[np.floating]
    is_seen: NDArray[np.floating]
    is_render: bool
    is_face: bool


def _open(folder: Path) -> Corpus:
    corpus = Corpus(folder)
    if corpus.record.kind not in _DECODERS:
        raise IncompatibleCode(f"{folder}: is a corpus of {corpus.record.kind}, expected {' or '.join(_DECODERS)}")
    if not len(corpus):
        raise AssetMissing(f"{folder}: the corpus holds no faces")
    return corpus


def draw_crop_of(face: StoredFace, generator: np.random.Generator) -> _Crop:
    """Look at a face, with what may happen to a picture; the same number of draws decides what happens."""
    is_first, is_cut, is_covered, is_shrunk, is_degraded = generator.random(5) < (
        *(FIRST_LOOK_SHARE, CUT_OFF_SHARE, COVER_SHARE, SHRINK_SHARE),
        0.0 if face.is_render else DEGRADE_SHARE,
    )
    crop = _look_at(face, draw_look(generator, FIRST_LOOK if is_first else FURTHER_LOOK))
    picture, still_seen = crop.crop_srgb, np.ones(NUM_LANDMARKS, dtype=np.bool_)
    for is_done, happen in ((is_cut, cut_off), (is_covered, cover)):
        if is_done:
            picture, seen = happen(picture, crop.points_px, generator)
            still_seen &= seen
    if is_shrunk:
        picture = shrink(picture, generator)
    if is_degraded:
        picture = degrade(picture, generator)
    return _Crop(picture, crop.points_px, crop.trust, crop.is_seen * still_seen, crop.is_render, True)


def _look_at(face: StoredFace, T_stored_crop: NDArray[np.float64]) -> _Crop:
    points_px, trust = cut_landmarks(face.points_px, face.trust, T_stored_crop)
    _, is_seen = cut_landmarks(face.points_px, face.is_seen, T_stored_crop)
    return _Crop(cut_look(face.crop_srgb, T_stored_crop), points_px, trust, is_seen, face.is_render, True)


def _miss(crop_srgb: NDArray[np.uint8]) -> _Crop:
    nothing = np.zeros(NUM_LANDMARKS)
    return _Crop(crop_srgb, np.zeros((NUM_LANDMARKS, 2)), nothing, nothing, is_render=False, is_face=False)


def _join(crops: Sequence[_Crop]) -> LandmarkBatch:
    pictures = torch.from_numpy(np.stack([crop.crop_srgb for crop in crops]))
    return LandmarkBatch(
        crops_srgb=pictures.permute(0, 3, 1, 2),
        points_px=torch.from_numpy(np.stack([crop.points_px for crop in crops])).float(),
        trust=torch.from_numpy(np.stack([crop.trust for crop in crops])).float(),
        is_seen=torch.from_numpy(np.stack([crop.is_seen for crop in crops])).float(),
        is_render=torch.tensor([crop.is_render for crop in crops]),
        is_face=torch.tensor([crop.is_face for crop in crops]),
    )


def _decode_photo(sample: Sample) -> StoredFace:
    photo = decode_photo_sample(sample)
    unknown = np.zeros(NUM_LANDMARKS, dtype=np.float32)
    return StoredFace(photo.crop_srgb, photo.landmarks_px, photo.visibility, unknown, is_render=False)


def _decode_render(sample: Sample) -> StoredFace:
    face = decode_synthetic_sample(sample)
    everywhere = np.ones(NUM_LANDMARKS, dtype=np.float32)
    return StoredFace(face.picture_srgb, face.landmarks_px, everywhere, face.visibility, is_render=True)


_DECODERS: dict[str, Callable[[Sample], StoredFace]] = {PHOTOGRAPHS: _decode_photo, SYNTHETIC: _decode_render}
