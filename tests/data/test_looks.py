# SPDX-License-Identifier: Apache-2.0
"""Looks, misses and what happens to pictures."""

import numpy as np
import pytest

from facefactor.data import looks
from facefactor.data.crops import cut_crop, cut_landmarks, exact_crop
from facefactor.data.looks import (
    FIRST_LOOK,
    FURTHER_LOOK,
    LookLimits,
    cover,
    cut_look,
    cut_off,
    draw_look,
    draw_miss,
    shrink,
)
from facefactor.photo.crop import photo_to_crop, similarity, similarity_scale


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def stored_srgb() -> np.ndarray:
    """A picture (160, 160, 3) whose red says the column, and green the row, of each pixel."""
    column, row = np.meshgrid(np.arange(160), np.arange(160))
    return np.stack([column, row, np.full_like(row, 200)], axis=-1).astype(np.uint8)


def test_the_exact_look_is_the_exact_crop(stored_srgb: np.ndarray) -> None:
    np.testing.assert_array_equal(cut_look(stored_srgb, exact_crop()), cut_crop(stored_srgb, exact_crop()))


@pytest.mark.parametrize("limits", [FIRST_LOOK, FURTHER_LOOK])
def test_looks_fill_their_limits_and_stay_within(limits: LookLimits, generator: np.random.Generator) -> None:
    drawn = [draw_look(generator, limits) for _ in range(400)]
    middles = np.array([T[:2, :2] @ (64, 64) + T[:2, 2] - 80 for T in drawn])
    scales = np.array([similarity_scale(T) for T in drawn])
    is_mirrored = np.array([np.linalg.det(T[:2, :2]) < 0 for T in drawn])
    turns_deg = np.array([np.degrees(np.arctan2(-T[0, 1], T[1, 1])) for T in drawn])
    for values, low, high in (
        (middles, -limits.shift_px, limits.shift_px),
        (scales, limits.smallest_scale, limits.largest_scale),
        (turns_deg, -limits.roll_deg, limits.roll_deg),
    ):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    assert 0.4 < is_mirrored.mean() < 0.6


def test_a_look_shows_what_its_transform_says_and_repeats_the_border(stored_srgb: np.ndarray) -> None:
    look = similarity((100.0, 60.0), 1.3, np.radians(25), 128)
    picture = cut_look(stored_srgb, look).astype(float)
    centres = np.stack(np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5), axis=-1)
    expected = np.clip(centres @ look[:2, :2].T + look[:2, 2] - 0.5, 0, 159)
    assert (expected == 159).any()
    np.testing.assert_allclose(picture[..., :2], expected, atol=1.01)


def test_landmarks_stay_on_what_they_mark(stored_srgb: np.ndarray, generator: np.random.Generator) -> None:
    points_px = generator.uniform(60, 100, (478, 2))
    look = draw_look(generator, FIRST_LOOK)
    cut_px, _ = cut_landmarks(points_px, np.ones(478), look)
    np.testing.assert_allclose(np.sort(cut_px, axis=0), np.sort(photo_to_crop(points_px, look), axis=0))
    picture = cut_look(stored_srgb, look)
    column, row = np.clip(photo_to_crop(points_px, look).astype(int), 0, 127).T
    np.testing.assert_allclose(picture[row, column, :2], points_px, atol=2.5)


def test_misses_are_of_every_kind_and_never_the_face(stored_srgb: np.ndarray) -> None:
    misses = [draw_miss(stored_srgb, np.random.default_rng(number)) for number in range(60)]
    assert {miss.shape for miss in misses} == {(128, 128, 3)}
    assert len({miss.tobytes() for miss in misses}) == 60
    upright = cut_look(stored_srgb, exact_crop()).astype(float)
    assert min(np.abs(miss - upright).mean() for miss in misses) > 10


@pytest.mark.parametrize("seed", range(8))
def test_beyond_the_cut_the_last_pixels_are_repeated_and_points_are_unseen(stored_srgb: np.ndarray, seed: int) -> None:
    crop = cut_look(stored_srgb, exact_crop())
    points_px = np.random.default_rng(1).uniform(0, 128, (478, 2))
    picture, is_seen = cut_off(crop, points_px, np.random.default_rng(seed))
    column, row = points_px.astype(int).T
    unchanged = (picture[row, column] == crop[row, column]).all(axis=-1)
    assert 0.55 < is_seen.mean() <= 1
    assert unchanged[is_seen].all()
    assert (~unchanged[~is_seen]).mean() > 0.9  # the first repeated pixels are those that were there
    assert (~is_seen).any() or is_seen.all()


def test_what_is_covered_is_unseen_and_nothing_else_changes(
    stored_srgb: np.ndarray, generator: np.random.Generator
) -> None:
    crop = cut_look(stored_srgb, exact_crop())
    column, row = np.meshgrid(np.arange(128), np.arange(128))
    points_px = np.stack([column, row], axis=-1).reshape(-1, 2) + 0.5
    picture, is_seen = cover(crop, points_px, generator)
    changed = (picture != crop).any(axis=-1).reshape(-1)
    assert not changed[is_seen].any()
    assert changed[~is_seen].mean() > 0.95
    assert 0.5 < is_seen.mean() < 1


def test_shrinking_blurs_and_keeps_the_mean(stored_srgb: np.ndarray, generator: np.random.Generator) -> None:
    noise = generator.integers(0, 255, (128, 128, 3)).astype(np.uint8)
    shrunk = [shrink(noise, generator) for _ in range(8)]
    assert all(picture.shape == noise.shape for picture in shrunk)
    assert all(abs(picture.mean() - noise.mean()) < 3 for picture in shrunk)
    assert min(picture.std() for picture in shrunk) < 0.3 * noise.std()


def test_a_scrambled_crop_holds_the_same_tiles_elsewhere(generator: np.random.Generator) -> None:
    crop = generator.integers(0, 255, (128, 128, 3)).astype(np.uint8)
    mixed = looks._scramble(crop, generator)
    tiles = {mixed[r : r + 32, c : c + 32].tobytes() for r in range(0, 128, 32) for c in range(0, 128, 32)}
    assert tiles == {crop[r : r + 32, c : c + 32].tobytes() for r in range(0, 128, 32) for c in range(0, 128, 32)}
    assert not np.array_equal(mixed, crop)
