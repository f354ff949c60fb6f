# SPDX-License-Identifier: Apache-2.0
"""The changed part of a photo and the way back from its maps."""

import numpy as np
import pytest

from facefactor.edit.region import PhotoRegion
from facefactor.photo.read import Photo


@pytest.fixture
def photo() -> Photo:
    rows, columns = np.mgrid[:300, :400]
    return Photo(np.stack((rows % 256, columns % 256, np.full_like(rows, 90)), axis=2).astype(np.uint8), "ramp")


def test_pixels_of_maps_and_photo_are_the_same_where_the_square_is_small(photo):
    region = PhotoRegion.around(photo, [np.array([[100.0, 80.0], [200.0, 160.0]])])
    assert region.scale == 1.0
    np.testing.assert_allclose(
        region.picture_srgb(),
        photo.srgb[region.top_px : region.top_px + region.size, region.left_px : region.left_px + region.size] / 255,
        atol=1e-6,
    )


def test_points_very_far_away_take_no_memory(photo):
    region = PhotoRegion.around(photo, [np.array([[-1e9, 50.0], [200.0, 1e12]])])
    assert region.side_px < 2000


def test_drawing_the_same_colours_changes_no_byte(photo):
    region = PhotoRegion.around(photo, [np.array([[-50.0, 10.0], [900.0, 280.0]])])
    assert region.side_px > region.size
    maps = np.zeros((region.size, region.size, 1), np.float32)
    np.testing.assert_array_equal(region.paste(lambda colours, values: colours, maps), photo.srgb)


def test_maps_are_enlarged_to_where_they_belong(photo):
    region = PhotoRegion(photo, -100, -100, 1000, 100)
    across = np.broadcast_to(np.arange(100, dtype=np.float32)[None, :, None] / 100, (100, 100, 1))
    picture = region.paste(lambda colours, values: np.broadcast_to(values, colours.shape), across)
    column = np.arange(400) + 0.5
    expected = np.clip((column + 100) / 10 - 0.5, 0, 99) / 100
    from facefactor.photo.colour import linear_to_srgb

    np.testing.assert_allclose(picture[150, :, 0], 255 * linear_to_srgb(expected), atol=0.6)


def test_an_offset_reads_the_photo_elsewhere(photo):
    region = PhotoRegion(photo, 0, 0, 300, 150)
    offset = np.zeros((150, 150, 2), np.float32)
    offset[..., 0] = 5.0  # ten of the photo's pixels to the right
    picture = region.paste(lambda colours, values: colours, offset[..., :1], offset)
    np.testing.assert_array_equal(picture[100:200, 20:200, 1], photo.srgb[100:200, 30:210, 1])
    np.testing.assert_array_equal(picture[:, 300:], photo.srgb[:, 300:])


@pytest.mark.parametrize("map_size", [300, 100])
def test_where_an_offset_tears_nothing_between_its_sides_is_read(map_size):
    """The right half comes from 60 pixels farther left; what lies between is black."""
    picture = np.full((300, 300, 3), 200, np.uint8)
    picture[:, 95:145] = 0
    offset = np.zeros((map_size, map_size, 2), np.float32)
    offset[:, map_size // 2 :, 0] = -60.0 * map_size / 300
    maps = np.zeros((300, 300, 1), np.float32)
    moved = PhotoRegion(Photo(picture, "stripe"), 0, 0, 300, 300).paste(lambda colours, values: colours, maps, offset)
    assert moved[:, 146:154].min() == 200
    assert (moved[:, 160:200] == 0).all()
