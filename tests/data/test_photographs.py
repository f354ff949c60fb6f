# SPDX-License-Identifier: Apache-2.0
"""Training batches of photos."""

import dataclasses
import itertools
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.code.face_code import FaceCode
from facefactor.data.batch import CropBatch
from facefactor.data.crops import JitterLimits, mirror_permutation
from facefactor.data.photographs import PhotoBatches, PhotoCorpus, exact_batch
from facefactor.data.shards import SYNTHETIC, CorpusRecord, write_corpus_record
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.photo.crop import crop_to_photo

STILL = JitterLimits(0.0, 1.0, 0.0, 0.0)


@pytest.fixture
def corpus(photo_corpus_folder: Path) -> PhotoCorpus:
    return PhotoCorpus(photo_corpus_folder)


def assert_equal_batches(first: CropBatch, second: CropBatch) -> None:
    for name in ("crops_srgb", "landmarks_px", "visibility"):
        torch.testing.assert_close(getattr(first, name), getattr(second, name), rtol=0, atol=0)


def test_a_corpus_gives_its_samples_by_number(corpus: PhotoCorpus) -> None:
    assert len(corpus) == 10
    assert [corpus[index].photo for index in (3, 9, 0)] == ["3.png", "9.png", "0.png"]


def test_a_batch_has_the_encoder_s_shapes_and_ranges(corpus: PhotoCorpus) -> None:
    batch = PhotoBatches(corpus, batch_size=3)[0]
    assert len(batch) == 3
    assert batch.crops_srgb.shape == (3, 3, 128, 128)
    assert batch.landmarks_px.shape == (3, 478, 2)
    assert batch.visibility.shape == (3, 478)
    assert {batch.crops_srgb.dtype, batch.landmarks_px.dtype, batch.visibility.dtype} == {torch.float32}
    assert batch.crops_srgb.min() >= 0
    assert 0.8 < batch.crops_srgb.max() <= 1
    assert batch.code is None


def test_an_exact_batch_is_the_middle_of_the_stored_crops(corpus: PhotoCorpus) -> None:
    batch, sample = exact_batch([corpus[4], corpus[2]]), corpus[2]
    expected = torch.from_numpy(sample.crop_srgb[16:144, 16:144] / np.float32(255)).permute(2, 0, 1)
    torch.testing.assert_close(batch.crops_srgb[1], expected)
    np.testing.assert_allclose(batch.landmarks_px[1], sample.landmarks_px - 16, atol=1e-4)


def test_limits_of_nothing_give_the_exact_batch(corpus: PhotoCorpus) -> None:
    assert_equal_batches(corpus.read_jittered([4, 2], [(0, 4), (7, 2)], STILL), exact_batch([corpus[4], corpus[2]]))


def test_a_mirrored_sample_is_the_mirror_image(corpus: PhotoCorpus) -> None:
    mirrored, exact = corpus.read_jittered([4], [(0,)], JitterLimits(0.0, 1.0, 0.0, 1.0)), exact_batch([corpus[4]])
    torch.testing.assert_close(mirrored.crops_srgb, exact.crops_srgb.flip(-1))
    expected_px = (128, 0) + exact.landmarks_px[0].numpy()[mirror_permutation()] * (-1, 1)
    np.testing.assert_allclose(mirrored.landmarks_px[0], expected_px, atol=1e-4)


def test_the_batch_of_a_step_is_always_the_same(corpus: PhotoCorpus) -> None:
    assert_equal_batches(PhotoBatches(corpus, 4, seed=3)[17], PhotoBatches(corpus, 4, seed=3)[17])


def test_a_stream_from_a_later_step_goes_on_as_the_unbroken_one(corpus: PhotoCorpus) -> None:
    batches = PhotoBatches(corpus, 4, seed=3)
    unbroken = list(itertools.islice(batches.from_step(0), 5))
    for resumed, expected in zip(batches.from_step(2), unbroken[2:], strict=False):
        assert_equal_batches(resumed, expected)


@pytest.mark.parametrize("world_size", [1, 2])
def test_an_epoch_shows_every_sample_once_over_all_devices(corpus: PhotoCorpus, world_size: int) -> None:
    ranks = [PhotoBatches(corpus, 5, rank=rank, world_size=world_size) for rank in range(world_size)]
    steps = range(10 // (5 * world_size))
    seen = [batches.order.draw(p) for batches in ranks[:1] for p in range(10)]
    assert sorted(index for _, index in seen) == list(range(10))
    shown = torch.cat([batches[step].landmarks_px for step in steps for batches in ranks])
    stream = corpus.read_jittered([index for _, index in seen], [(0, *draw) for draw in seen], JitterLimits())
    assert Counter(map(float, shown[:, 1, 0])) == Counter(map(float, stream.landmarks_px[:, 1, 0]))


def test_epochs_and_seeds_differ_in_order_and_jitter(corpus: PhotoCorpus) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [PhotoBatches(corpus, 1, seed=seed).order.draw(10 * epoch + place)[1] for place in range(10)]

    assert len({tuple(order(0, 0)), tuple(order(0, 1)), tuple(order(1, 0)), tuple(range(10))}) == 4
    first, second = (corpus.read_jittered([4], [(0, epoch, 4)], JitterLimits()) for epoch in (0, 1))
    assert not torch.equal(first.crops_srgb, second.crops_srgb)


def test_a_batch_may_be_larger_than_the_corpus(corpus: PhotoCorpus) -> None:
    assert len(PhotoBatches(corpus, 23)[1]) == 23


def test_only_the_samples_that_are_named_are_drawn(corpus: PhotoCorpus, monkeypatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(PhotoCorpus, "read_jittered", lambda self, numbers, *rest: drawn.extend(numbers))
    batches = PhotoBatches(corpus, 2, numbers=(1, 4, 7))
    for step in range(6):
        batches[step]
    assert sorted(drawn) == sorted((1, 4, 7) * 4)


def test_a_sample_that_is_named_twice_is_drawn_twice_with_a_jitter_of_each(corpus: PhotoCorpus) -> None:
    crops = PhotoBatches(corpus, 3, numbers=(4, 4, 7))[0].crops_srgb
    assert all(not torch.equal(first, second) for first, second in itertools.combinations(crops, 2))


def test_several_corpora_are_one_laid_end_to_end(photo_corpus_folder: Path) -> None:
    both = PhotoCorpus(photo_corpus_folder, photo_corpus_folder)
    assert len(both) == 20
    assert both[13].photo == both[3].photo == "3.png"
    with pytest.raises(IndexError, match="hold 20 samples, got index 20"):
        both[20]
    assert both.digest() != PhotoCorpus(photo_corpus_folder).digest()


def test_a_batch_says_where_its_crops_show_the_photo(corpus: PhotoCorpus) -> None:
    sample = corpus[0]
    assert exact_batch([sample]).coverage.all()
    # A photo that ends 64 px from the left edge of the stored crop: 48 px from that of the encoder's.
    width = int(crop_to_photo([64.0, 80.0], sample.T_photo_crop)[0])
    ended = dataclasses.replace(sample, photo_size_px=(width, sample.photo_size_px[1]))
    (coverage,) = exact_batch([ended]).coverage
    assert coverage[64, :46].all()
    assert not coverage[64, 50:].any()


def test_loader_processes_change_nothing(corpus: PhotoCorpus) -> None:
    batches = PhotoBatches(corpus, 2, seed=1)
    loaded = batches.from_step(3, num_workers=2)
    for step, batch in zip(range(3, 6), loaded, strict=False):
        assert_equal_batches(batch, batches[step])


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seed": -1}, {"rank": 1}, {"world_size": 0}])
def test_sizes_that_make_no_sense_are_refused(corpus: PhotoCorpus, wrong: dict) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        PhotoBatches(**{"corpus": corpus, "batch_size": 4, **wrong})


def test_a_corpus_of_another_kind_is_said(tmp_path: Path) -> None:
    write_corpus_record(tmp_path, CorpusRecord(SYNTHETIC))
    with pytest.raises(IncompatibleCode, match="is a corpus of synthetic, expected photographs"):
        PhotoCorpus(tmp_path)


def test_an_empty_corpus_is_said(photo_corpus_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(photo_corpus_folder, tmp_path, dirs_exist_ok=True)
    write_corpus_record(tmp_path, CorpusRecord("photographs"))
    with pytest.raises(AssetMissing, match="holds no samples"):
        PhotoCorpus(tmp_path)


def test_a_batch_moves_to_a_device_with_its_code(corpus: PhotoCorpus) -> None:
    exact = exact_batch([corpus[0]])
    moved = exact.to("meta")
    assert {moved.crops_srgb.device.type, moved.landmarks_px.device.type, moved.visibility.device.type} == {"meta"}
    code = FaceCode.neutral((1,)).to_torch()
    rendered = CropBatch(exact.crops_srgb, exact.landmarks_px, exact.visibility, code).to("cpu")
    assert rendered.code is not None
    torch.testing.assert_close(rendered.code.pack(), code.pack())
