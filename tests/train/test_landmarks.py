# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.data.landmark_batches import LandmarkBatch, LandmarkBatches, StoredFaces
from facefactor.data.rare_photos import RareRepeats, Rarity
from facefactor.encode.landmark_network import LandmarkAnswer, LandmarkNetwork
from facefactor.errors import FaceError
from facefactor.photo.landmarks import IBUG_51_FROM_478, RIGHT_EYE_UPPER
from facefactor.train.devices import Devices
from facefactor.train.held_out import split_numbers
from facefactor.train.landmarks import (
    HeldOutLandmarks,
    LandmarkSettings,
    landmark_batches,
    mean_points_px,
    objective,
    openings_loss,
    points_loss,
    train_landmarks,
)
from facefactor.train.loop import LoopSettings

SETTINGS = LandmarkSettings(batch_size=8, photo_share=0.4, miss_share=0.2)


@pytest.fixture(scope="module")
def renders(stored_faces_folders: tuple[Path, Path]) -> StoredFaces:
    return StoredFaces(stored_faces_folders[0])


@pytest.fixture(scope="module")
def photos(stored_faces_folders: tuple[Path, Path]) -> StoredFaces:
    return StoredFaces(stored_faces_folders[1])


@pytest.fixture(scope="module")
def batch(renders: StoredFaces, photos: StoredFaces) -> LandmarkBatch:
    return landmark_batches(renders, photos, SETTINGS, 0, Devices())[0]


def short_loop(num_steps: int, **given) -> LoopSettings:
    return LoopSettings(
        num_steps=num_steps, warmup_steps=2, log_interval=2, validation_interval=2, checkpoint_interval=2, **given
    )


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class Answers(torch.nn.Module):
    """Stands in for a network: answers what it is given, moved by its one weight."""

    def __init__(self, batch: LandmarkBatch, shift_px: float = 0.0, certainty: float = 50.0) -> None:
        super().__init__()
        self.answer = LandmarkAnswer(
            batch.points_px + shift_px, certainty * (2 * batch.is_seen - 1), certainty * (2.0 * batch.is_face - 1)
        )
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, crops_srgb):
        return self.answer


def test_the_truth_has_no_loss_and_no_error(batch, renders, photos):
    loss, numbers = objective(Answers(batch), batch, 0)
    assert float(loss) < 1e-5
    assert set(numbers) == {"points_percent", "openings_percent", "seen_loss", "face_loss"}
    held_out = HeldOutLandmarks(renders, None, 4)
    errors = held_out(Answers(renders.read_exact(split_numbers(len(renders), 4)[1])))
    assert errors == {"render_percent": 0.0, "wrongly_seen_percent": 0.0}


def test_the_points_loss_is_the_mean_distance_in_per_cent_of_the_crop(batch):
    moved = batch.points_px + torch.tensor([3.0, 4.0])
    # The distance of 5 px, less the 0.2 px where it is soft, of 128.
    assert float(points_loss(moved, batch)) == pytest.approx(100 * 4.8 / 128, rel=2e-3)


def test_misses_and_points_without_trust_do_not_count(batch):
    moved = batch.points_px.clone()
    moved[~batch.is_face] += 30
    untrusted = dataclasses.replace(batch, trust=batch.trust.clone())
    untrusted.trust[:, 7] = 0
    moved[:, 7] += 30
    assert float(points_loss(moved, untrusted)) == 0.0


def test_lids_count_more_than_cheeks(batch):
    lid, cheek = batch.points_px.clone(), batch.points_px.clone()
    lid[:, RIGHT_EYE_UPPER[4]] += 5
    cheek[:, 50] += 5
    assert float(points_loss(lid, batch)) == pytest.approx(3 * float(points_loss(cheek, batch)), rel=1e-3)


def test_visibility_is_learnt_from_renders_alone(batch):
    wrong = Answers(batch)
    wrong.answer.visibility_logits[~batch.is_render] *= -1
    assert float(objective(wrong, batch, 0)[0]) < 1e-5
    wrong.answer.visibility_logits[batch.is_render] *= -1
    assert float(objective(wrong, batch, 0)[1]["seen_loss"]) == pytest.approx(50, rel=1e-3)


def test_the_held_out_error_is_that_of_the_inner_points_over_the_box(renders):
    truth = renders.read_exact(split_numbers(len(renders), 3)[1])
    errors = HeldOutLandmarks(renders, None, 3)(Answers(truth, shift_px=2.0, certainty=-1.0))
    boxes = (truth.points_px.amax(dim=1) - truth.points_px.amin(dim=1)).prod(dim=-1).sqrt()
    assert errors["render_percent"] == pytest.approx(float((100 * 2 * 2**0.5 / boxes).median()), rel=1e-4)
    assert errors["wrongly_seen_percent"] == 100.0


def test_a_few_faces_are_learnt_by_heart(renders, photos, batch, tmp_path, monkeypatch):
    monkeypatch.setattr(LandmarkBatches, "from_step", lambda *arguments: itertools.repeat(batch))
    loop = LoopSettings(
        num_steps=40, learning_rate=4e-3, warmup_steps=5, log_interval=8, validation_interval=40, checkpoint_interval=40
    )
    train_landmarks(renders, photos, tmp_path, SETTINGS, loop)
    lines = logged(tmp_path)
    first, last = lines[0], lines[-2]
    assert last["points_percent"] < 0.3 * first["points_percent"]
    assert last["face_loss"] < 0.8 * first["face_loss"]
    assert last["seen_loss"] < first["seen_loss"]
    assert set(lines[-1]) > {"photo_percent", "render_percent", "wrongly_seen_percent"}


def test_turned_renders_are_drawn_more_often(renders, photos, monkeypatch):
    turned = {0, 1, 2, 11}
    answers = [number in turned for number in range(len(renders))]
    monkeypatch.setattr(StoredFaces, "ask", lambda self, question: answers if self is renders else [None] * len(photos))
    batches = landmark_batches(renders, photos, SETTINGS, 0, Devices())
    counts = [(source.faces is renders, source.indices, source.per_step) for source in batches.sources]
    held_out = set(split_numbers(12, 256)[1])
    assert counts[1] == (True, tuple(n for n in (0, 1, 2, 11) if n not in held_out), 2)
    assert [per_step for _, _, per_step in counts] == [1, 2, 3]
    assert batches.misses_per_step == 2
    assert sum(source.per_step for source in batches.sources) + 2 == SETTINGS.batch_size


def test_photos_with_rare_expressions_are_drawn_more_often(renders, photos, monkeypatch):
    learnt, held_out = split_numbers(len(photos), SETTINGS.num_held_out)
    winks = {learnt[0], held_out[0]}
    found = [Rarity.WINK if number in winks else None for number in range(len(photos))]
    monkeypatch.setattr(StoredFaces, "ask", lambda self, question: found if self is photos else [False] * len(renders))
    drawn = landmark_batches(renders, photos, SETTINGS, 0, Devices()).sources[-1].indices
    assert drawn.count(learnt[0]) == 1 + SETTINGS.rare.wink
    assert all(drawn.count(number) == 1 for number in learnt[1:])
    assert held_out[0] not in drawn
    plain = dataclasses.replace(SETTINGS, rare=RareRepeats(0, 0, 0))
    assert landmark_batches(renders, photos, plain, 0, Devices()).sources[-1].indices == learnt


def test_the_openings_loss_sees_closed_eyes_that_the_points_loss_hardly_does(batch):
    moved = batch.points_px.clone()
    moved[:, list(RIGHT_EYE_UPPER[1:-1]), 1] += 3.0
    assert float(openings_loss(batch.points_px, batch)) == 0.0
    # 3 px on 7 of the 23 pairs, less the 0.2 px where it is soft, of 128.
    assert float(openings_loss(moved, batch)) == pytest.approx(100 * 2.8 * 7 / 23 / 128, rel=0.05)
    assert float(points_loss(moved, batch)) < 0.3 * float(openings_loss(moved, batch))


def test_renders_alone_are_enough(renders, tmp_path):
    train_landmarks(renders, None, tmp_path, SETTINGS, short_loop(2))
    assert "photo_percent" not in logged(tmp_path)[-1]


def test_a_resumed_run_ends_where_an_unbroken_one_does(renders, photos, tmp_path, monkeypatch):
    whole = train_landmarks(renders, photos, tmp_path / "whole", SETTINGS, short_loop(4))

    class Stop(Exception):
        pass

    def stop_at_the_last_step(self, step: int) -> LandmarkBatch:
        if step == 3:
            raise Stop
        return original(self, step)

    original = LandmarkBatches.__getitem__
    with monkeypatch.context() as patch:
        patch.setattr(LandmarkBatches, "__getitem__", stop_at_the_last_step)
        with pytest.raises(Stop):
            train_landmarks(renders, photos, tmp_path / "interrupted", SETTINGS, short_loop(4))
    resumed = train_landmarks(renders, photos, tmp_path / "interrupted", SETTINGS, short_loop(4), resume=True)
    for ours, theirs in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_run_is_not_resumed_with_other_corpora(renders, photos, tmp_path):
    train_landmarks(renders, photos, tmp_path, SETTINGS, short_loop(2))
    with pytest.raises(FaceError, match="data_hash was"):
        train_landmarks(renders, None, tmp_path, SETTINGS, short_loop(2), resume=True)


def test_weights_start_another_run(renders, tmp_path):
    train_landmarks(renders, None, tmp_path / "first", SETTINGS, short_loop(2))
    weights = tmp_path / "first" / "weights.safetensors"
    still = train_landmarks(
        renders, None, tmp_path / "second", SETTINGS, short_loop(2, learning_rate=1e-12), init=weights
    )
    begun = train_landmarks(renders, None, tmp_path / "third", SETTINGS, short_loop(2, learning_rate=1e-12))
    assert isinstance(still, LandmarkNetwork)
    assert isinstance(begun, LandmarkNetwork)
    assert not torch.allclose(still.points.bias, begun.points.bias)


def test_the_untrained_network_answers_a_face_in_the_middle():
    points_px = mean_points_px()
    middle = (points_px.amin(dim=0) + points_px.amax(dim=0)) / 2
    np.testing.assert_allclose(middle, [64, 64], atol=1e-3)
    inner = points_px[list(IBUG_51_FROM_478)]
    assert inner.amin() > 20
    assert inner.amax() < 108
    assert points_px[33, 0] < points_px[263, 0]  # the right eye is on the picture's left
    assert points_px[152, 1] > points_px[10, 1]  # and the chin below the forehead


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 0}, "batch_size and num_held_out must be at least 1"),
        ({"photo_share": 0.9}, "leave something for the renders"),
        ({"miss_share": -0.1}, "at least 0"),
        ({"turned_share": 1.1}, "turned_share at most 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed: dict, message: str):
    with pytest.raises(ValueError, match=message):
        LandmarkSettings(**changed)
