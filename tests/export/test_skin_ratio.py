# SPDX-License-Identifier: Apache-2.0
import numpy as np

from facefactor.export.skin_ratio import BRIGHTEST_LOG_RATIO, MOST_TINTED_LOG_RATIO, skin_ratio, without_gloss

SKIN, WHITE = np.array([[0.5, 0.3, 0.2]]), np.ones(3)


def test_gloss_is_taken_off_exactly_where_the_lamp_is_white():
    skin, lamp = np.array([[0.5, 0.3, 0.2], [0.2, 0.1, 0.06]]), np.array([1.2, 1.0, 0.8])
    for gloss in (0.0, 0.05, 0.2):
        np.testing.assert_allclose(without_gloss(skin + gloss * lamp, skin, lamp), skin, atol=1e-6)


def test_brighter_skin_of_the_same_colour_is_no_gloss():
    skin, white = np.array([[0.5, 0.3, 0.2]]), np.ones(3)
    np.testing.assert_allclose(without_gloss(1.4 * skin, skin, white), 1.4 * skin, atol=1e-6)


def test_taking_off_gloss_leaves_nothing_darker_than_expected():
    generator = np.random.default_rng(0)
    photo, skin = generator.uniform(0, 1, (500, 3)), generator.uniform(0.02, 0.6, (500, 3))
    matt = without_gloss(photo, skin, np.ones(3))
    assert (matt.mean(axis=1) >= np.minimum(photo, skin).mean(axis=1).clip(max=skin.mean(axis=1)) - 1e-6).all()
    darker = photo.mean(axis=1) < skin.mean(axis=1)
    np.testing.assert_array_equal(matt[darker], photo[darker])


def test_darker_skin_has_its_ratio():
    ratio, brightness = skin_ratio(0.6 * SKIN, SKIN, WHITE)
    np.testing.assert_allclose(ratio, np.log(0.6), atol=1e-6)
    np.testing.assert_allclose(brightness, np.log(0.6), atol=1e-6)


def test_what_is_brighter_or_tinted_is_compressed_to_its_limits():
    ratio, brightness = skin_ratio(np.array([[0.95, 0.57, 0.38]]), SKIN, WHITE)
    assert brightness > 0.6
    np.testing.assert_allclose(ratio, ratio.mean(), atol=1e-6)
    assert 0.2 < ratio.mean() < BRIGHTEST_LOG_RATIO
    green, _ = skin_ratio(np.array([[0.1, 0.3, 0.05]]), SKIN, WHITE)
    assert np.ptp(green) < 2 * MOST_TINTED_LOG_RATIO


def test_a_dark_channels_ratio_tints_little():
    dark = np.array([[0.3, 0.02, 0.004]])
    ratio, _ = skin_ratio(dark * (1.0, 1.0, 8.0), dark, WHITE)
    assert np.ptp(ratio) < 0.2  # of log 8, or 2.1
