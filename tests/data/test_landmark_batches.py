# SPDX-License-Identifier: Apache-2.0
"""Batches for the landmark network."""

import dataclasses
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.data import landmark_batches
from facefactor.data.crops import mean_landmarks_mm
from facefactor.data.landmark_batches import LandmarkBatch, LandmarkBatches, Source, StoredFaces, draw_crop_of
from facefactor.data.photo_sample import PhotoSample, encode_photo_sample, estimate_yaw_deg
from facefactor.data.shards import PHOTOGRAPHS, CorpusRecord, write_corpus_record, write_shard
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.photo.detect import FaceBox


@pytest.fixture(scope="module")
def renders(stored_faces_folders: tuple[Path, Path]) -> StoredFaces:
    return StoredFaces(stored_faces_folders[0])


@pytest.fixture(scope="module")
def photos(stored_faces_folders: tuple[Path, Path]) -> StoredFaces:
    return StoredFaces(stored_faces_folders[1])


@pytest.fixture(scope="module")
def batches(renders: StoredFaces, photos: StoredFaces) -> LandmarkBatches:
    sources = Source(renders, tuple(range(1, 12)), 5), Source(photos, tuple(range(8)), 4)
    return LandmarkBatches(sources, misses_per_step=3, seed=1)


def assert_equal(first: LandmarkBatch, second: LandmarkBatch) -> None:
    for field in dataclasses.fields(LandmarkBatch):
        assert torch.equal(getattr(first, field.name), getattr(second, field.name)), field.name


def test_corpora_of_both_kinds_are_laid_end_to_end(stored_faces_folders, renders, photos) -> None:
    both = StoredFaces(*stored_faces_folders)
    assert len(both) == 20
    np.testing.assert_array_equal(both[11].crop_srgb, renders[11].crop_srgb)
    np.testing.assert_array_equal(both[12].points_px, photos[0].points_px)
    assert [both[index].is_render for index in (0, 11, 12, 19)] == [True, True, False, False]
    with pytest.raises(IndexError, match="20 faces, got index 20"):
        both[20]


def test_what_is_known_differs_by_source(renders: StoredFaces, photos: StoredFaces) -> None:
    render, photo = renders[0], photos[0]
    assert (render.trust == 1).all()
    assert set(np.unique(render.is_seen)) == {0.0, 1.0}
    np.testing.assert_allclose(photo.trust, 0.9, atol=1e-3)


def test_a_batch_has_its_shapes_ranges_and_kinds(batches: LandmarkBatches) -> None:
    batch = batches[0]
    assert len(batch) == 12
    assert batch.crops_srgb.shape == (12, 3, 128, 128)
    assert batch.crops_srgb.dtype == torch.uint8
    assert 0 <= batch.decoded().min() < batch.decoded().max() <= 1
    assert batch.points_px.shape == (12, 478, 2)
    assert batch.is_render.tolist() == [True] * 5 + [False] * 7
    assert batch.is_face.tolist() == [True] * 9 + [False] * 3
    assert (batch.trust[9:] == 0).all()
    assert (batch.is_seen[:5].sum(dim=1) > 0).all()


def test_the_batch_of_a_step_is_always_the_same_and_steps_differ(batches: LandmarkBatches) -> None:
    again = dataclasses.replace(batches)
    assert_equal(batches[7], again[7])
    assert not torch.equal(batches[7].crops_srgb, batches[8].crops_srgb)
    for step, batch in zip(range(2, 4), islice(again.from_step(2), 2), strict=True):
        assert_equal(batch, batches[step])


def test_processes_share_an_epoch_without_overlap(renders: StoredFaces, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(StoredFaces, "__getitem__", lambda self, index: seen.append(index) or photo_face())
    for rank in (0, 1):
        LandmarkBatches((Source(renders, tuple(range(12)), 6),), 0, rank=rank, world_size=2)[0]
    assert sorted(seen) == list(range(12))


def photo_face() -> landmark_batches.StoredFace:
    nothing = np.zeros(478)
    return landmark_batches.StoredFace(np.zeros((160, 160, 3), np.uint8), np.zeros((478, 2)), nothing, nothing, False)


def test_held_out_faces_are_never_drawn(renders: StoredFaces, photos: StoredFaces, monkeypatch) -> None:
    seen: set[int] = set()
    original = StoredFaces.__getitem__
    monkeypatch.setattr(StoredFaces, "__getitem__", lambda self, index: seen.add(index) or original(self, index))
    batches = LandmarkBatches((Source(renders, (2, 3, 5), 4),), misses_per_step=4)
    for step in range(3):
        batches[step]
    assert seen == {2, 3, 5}


def test_an_exact_batch_is_the_middle_of_the_stored_crops(renders: StoredFaces) -> None:
    batch, face = renders.read_exact([3, 1]), renders[1]
    assert torch.equal(batch.crops_srgb[1], torch.from_numpy(face.crop_srgb[16:144, 16:144].copy()).permute(2, 0, 1))
    np.testing.assert_allclose(batch.points_px[1], face.points_px - 16, atol=1e-4)
    np.testing.assert_array_equal(batch.is_seen[1], face.is_seen)


def test_what_is_covered_on_a_render_is_not_seen(renders: StoredFaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmark_batches, "COVER_SHARE", 1.0)
    covered = [draw_crop_of(renders[0], np.random.default_rng(seed)) for seed in range(6)]
    assert min(crop.is_seen.sum() for crop in covered) < renders[0].is_seen.sum()
    assert all((crop.trust == 1).all() for crop in covered)


def test_another_kind_of_corpus_or_an_empty_one_is_refused(tmp_path: Path) -> None:
    write_corpus_record(tmp_path, CorpusRecord("sounds"))
    with pytest.raises(IncompatibleCode, match="is a corpus of sounds, expected photographs or synthetic"):
        StoredFaces(tmp_path)
    write_corpus_record(tmp_path, CorpusRecord(PHOTOGRAPHS))
    with pytest.raises(AssetMissing, match="holds no faces"):
        StoredFaces(tmp_path)


def test_numbers_that_make_no_sense_are_refused(renders: StoredFaces) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        LandmarkBatches((Source(renders, (1, 2), 0),), 1)


def test_turned_faces_are_found_by_their_landmarks(renders: StoredFaces, tmp_path: Path) -> None:
    assert not any(renders.ask(lambda points_px: abs(estimate_yaw_deg(points_px)) > 10))
    points_mm = mean_landmarks_mm()
    yaw = np.radians(50)
    x = points_mm[:, 0] * np.cos(yaw) + points_mm[:, 2] * np.sin(yaw)
    points_px = np.stack([x, -points_mm[:, 1]], axis=1) * 0.58 + (80, 68)
    turned = dataclasses.replace(photo_face_sample(), landmarks_px=points_px.astype(np.float32))
    samples = [photo_face_sample(), turned]
    shard = write_shard(tmp_path / "a.tar", [encode_photo_sample(s, f"{n}-0") for n, s in enumerate(samples)])
    write_corpus_record(tmp_path, CorpusRecord(PHOTOGRAPHS, (shard,)))
    yaws_deg = [estimate_yaw_deg(np.asarray(face.points_px)) for face in map(StoredFaces(tmp_path).__getitem__, (0, 1))]
    assert StoredFaces(tmp_path).ask(lambda points_px: abs(estimate_yaw_deg(points_px)) > 40)[:2] == [False, True]
    assert abs(yaws_deg[0]) < 40 < abs(yaws_deg[1])


def photo_face_sample() -> PhotoSample:
    points_px = mean_landmarks_mm()[:, :2] * (0.58, -0.58) + (80, 68)
    picture, box = np.zeros((160, 160, 3), np.uint8), FaceBox(30, 30, 90, 100, 0.9)
    trust = np.ones(478, np.float32)
    return PhotoSample(picture, points_px.astype(np.float32), trust, np.eye(3), "p.jpg", (160, 160), box, 0.0)
