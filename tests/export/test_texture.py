# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.export.texture import TextureAtlas

TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])
WHOLE_SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def srgb8(linear: np.ndarray) -> np.ndarray:
    """The sRGB curve of IEC 61966-2-1, written out once more."""
    return 255.0 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def test_an_albedo_linear_in_u_and_v_is_baked_where_the_uvs_say():
    red_is_u_green_is_v = np.column_stack([WHOLE_SQUARE, np.full(4, 0.25)])
    texture = TextureAtlas(TRIANGLES, WHOLE_SQUARE, TRIANGLES, 32).bake(red_is_u_green_is_v)
    centres = (np.arange(32) + 0.5) / 32
    np.testing.assert_allclose(texture[..., 0], np.broadcast_to(srgb8(centres), (32, 32)), atol=0.51)
    np.testing.assert_allclose(texture[..., 1], np.broadcast_to(srgb8(1 - centres)[:, None], (32, 32)), atol=0.51)
    np.testing.assert_allclose(texture[..., 2], srgb8(np.array(0.25)), atol=0.51)


def test_a_mirrored_chart_is_baked_like_any_other():
    albedo = np.column_stack([WHOLE_SQUARE[:, 0], np.zeros((4, 2))])
    mirrored = WHOLE_SQUARE * [-1, 1] + [1, 0]
    plain = TextureAtlas(TRIANGLES, WHOLE_SQUARE, TRIANGLES, 32).bake(albedo)
    np.testing.assert_array_equal(TextureAtlas(TRIANGLES, mirrored, TRIANGLES, 32).bake(albedo), plain[:, ::-1])


def test_uvs_have_indices_of_their_own():
    order = np.array([2, 0, 3, 1])
    albedo = np.random.default_rng(0).uniform(size=(4, 3))
    plain = TextureAtlas(TRIANGLES, WHOLE_SQUARE, TRIANGLES, 16).bake(albedo)
    shuffled = TextureAtlas(TRIANGLES, WHOLE_SQUARE[order], np.argsort(order)[TRIANGLES], 16).bake(albedo)
    np.testing.assert_array_equal(shuffled, plain)


def test_texels_outside_take_the_colour_of_the_nearest_chart():
    left, right = WHOLE_SQUARE * 0.2 + [0.1, 0.4], WHOLE_SQUARE * 0.2 + [0.7, 0.4]
    albedo = np.repeat([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], 4, axis=0)
    triangles = np.concatenate([TRIANGLES, TRIANGLES + 4])
    texture = TextureAtlas(triangles, np.concatenate([left, right]), triangles, 40).bake(albedo)
    np.testing.assert_array_equal(texture[:, :20], np.broadcast_to([255, 0, 0], (40, 20, 3)))
    np.testing.assert_array_equal(texture[:, 20:], np.broadcast_to([0, 0, 255], (40, 20, 3)))


def test_albedo_beyond_white_and_black_is_clipped():
    albedo = np.broadcast_to([2.0, -1.0, 1.0], (4, 3))
    texture = TextureAtlas(TRIANGLES, WHOLE_SQUARE, TRIANGLES, 4).bake(albedo)
    np.testing.assert_array_equal(texture, np.broadcast_to([255, 0, 255], (4, 4, 3)))


def test_a_texture_too_small_for_its_charts_is_refused():
    with pytest.raises(ValueError, match="no texel of a 4 x 4 texture lies inside a UV triangle"):
        TextureAtlas(TRIANGLES, WHOLE_SQUARE * 0.01, TRIANGLES, 4).bake(np.ones((4, 3)))
