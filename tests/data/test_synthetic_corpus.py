# SPDX-License-Identifier: Apache-2.0
"""Reading written synthetic faces in the order of the epochs."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.data.epochs import EpochOrder
from facefactor.data.shards import PHOTOGRAPHS, SYNTHETIC, CorpusRecord, write_corpus_record, write_shard
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.data.synthetic_corpus import SyntheticBatches, SyntheticCorpus
from facefactor.data.synthetic_sample import encode_synthetic_sample
from facefactor.errors import AssetMissing, IncompatibleCode


def write_corpus(folder: Path, faces: SyntheticFaces, numbers: range) -> Path:
    samples = [
        encode_synthetic_sample(face, f"face-{number}")
        for number, face in zip(numbers, faces.make(numbers), strict=True)
    ]
    folder.mkdir()
    shard = write_shard(folder / "synthetic-000000.tar", samples)
    write_corpus_record(folder, CorpusRecord(SYNTHETIC, (shard,), complete=True))
    return folder


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(SyntheticSettings(border_px=16, subdivided=False, supersample=1))


@pytest.fixture(scope="module")
def folders(faces: SyntheticFaces, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("corpora")
    return write_corpus(root / "many", faces, range(7)), write_corpus(root / "few", faces, range(100, 103))


def test_corpora_are_laid_end_to_end(folders: tuple[Path, Path]) -> None:
    both, few = SyntheticCorpus(*folders), SyntheticCorpus(folders[1])
    assert len(both) == 10
    assert torch.equal(both.read([7, 9]).crops_srgb, few.read([0, 2]).crops_srgb)
    with pytest.raises(IndexError, match="hold 10 samples"):
        both[10]


def test_a_batch_holds_as_many_faces_of_each_source_as_asked(folders: tuple[Path, Path]) -> None:
    many, few = map(SyntheticCorpus, folders)
    order = EpochOrder(7, 4, seed=5), EpochOrder(3, 2, seed=5)
    batch = SyntheticBatches(((many, 4), (few, 2)), seed=5)[1]
    expected = [
        corpus.read([index for _, index in drawn.draws(1)]) for corpus, drawn in zip((many, few), order, strict=True)
    ]
    assert len(batch) == 6
    assert batch.code is not None
    for part, source in ((slice(0, 4), expected[0]), (slice(4, 6), expected[1])):
        assert torch.equal(batch.crops_srgb[part], source.crops_srgb)
        assert torch.equal(batch.landmarks_px[part], source.landmarks_px)
        assert torch.equal(batch.code[part].pack(), source.code.pack())


def test_loader_processes_change_nothing(folders: tuple[Path, Path]) -> None:
    batches = SyntheticBatches(((SyntheticCorpus(*folders), 4),), seed=1)
    for step, batch in zip(range(3, 5), batches.from_step(3, num_workers=1), strict=False):
        assert torch.equal(batch.crops_srgb, batches[step].crops_srgb)
        assert torch.equal(batch.code.pack(), batches[step].code.pack())


def test_the_digest_tells_corpora_apart(folders: tuple[Path, Path]) -> None:
    digests = {SyntheticCorpus(*chosen).digest() for chosen in (folders, folders[:1], folders[1:])}
    assert len(digests) == 3
    assert SyntheticCorpus(folders[0]).digest() in digests


@pytest.mark.parametrize("world_size", [1, 2])
def test_an_epoch_holds_every_sample_once_over_all_processes(world_size: int) -> None:
    orders = [EpochOrder(20, 5, seed=3, rank=rank, world_size=world_size) for rank in range(world_size)]
    steps = range(20 // (5 * world_size))
    drawn = list(itertools.chain.from_iterable(order.draws(step) for step in steps for order in orders))
    assert [epoch for epoch, _ in drawn] == [0] * 20
    assert sorted(index for _, index in drawn) == list(range(20))
    assert not np.array_equal([index for _, index in drawn], range(20))


def test_a_corpus_of_photos_or_of_nothing_is_refused(tmp_path: Path) -> None:
    write_corpus_record(tmp_path, CorpusRecord(PHOTOGRAPHS))
    with pytest.raises(IncompatibleCode, match="is a corpus of photographs, expected synthetic"):
        SyntheticCorpus(tmp_path)
    write_corpus_record(tmp_path, CorpusRecord(SYNTHETIC))
    with pytest.raises(AssetMissing, match="holds no samples"):
        SyntheticCorpus(tmp_path)
