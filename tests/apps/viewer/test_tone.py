# SPDX-License-Identifier: Apache-2.0
import numpy as np

from facefactor.apps.viewer.tone import apply_page_curve, undo_page_curve

GRID = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, 12)] * 3), axis=-1).reshape(-1, 3)
"""Colours of the whole cube, its corners too."""


def test_undoing_the_curve_brings_every_colour_to_the_screen_as_it_was():
    assert np.isfinite(undo_page_curve(GRID)).all()
    np.testing.assert_allclose(apply_page_curve(undo_page_curve(GRID)), GRID, atol=1e-6)


def test_the_curve_is_the_one_that_three_js_publishes():
    # By hand: the rows of both matrices sum to one for grey, so 0.18 becomes f(0.18 / 0.6) = f(0.3).
    grey = (0.3 * (0.3 + 0.0245786) - 0.000090537) / (0.3 * (0.983729 * 0.3 + 0.4329510) + 0.238081)
    np.testing.assert_allclose(apply_page_curve(np.full((1, 3), 0.18)), grey, atol=1e-4)
