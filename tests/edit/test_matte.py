# SPDX-License-Identifier: Apache-2.0
"""The guided filter."""

import numpy as np

from facefactor.edit.matte import follow_edges


def test_a_mask_that_is_off_by_a_few_pixels_moves_to_the_pictures_edge():
    guide = np.zeros((60, 80, 3))
    guide[:, 40:] = (0.8, 0.5, 0.4)
    mask = np.zeros((60, 80))
    mask[:, 44:] = 1.0
    filtered = follow_edges(mask, guide, 10)
    assert filtered[:, 30].max() < 0.1
    assert filtered[:, 41].min() > 0.5
    assert filtered[:, 70].min() > 0.95


def test_where_there_is_no_edge_the_mask_is_only_softened():
    mask = np.zeros((40, 40))
    mask[:, 20:] = 1.0
    filtered = follow_edges(mask, np.full((40, 40, 3), 0.5), 4)
    assert np.all(np.diff(filtered[20]) >= -1e-6)
    assert filtered[20, 2] == 0.0
    assert filtered[20, 37] == 1.0
