# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.export.row import GAP_SRGB, lay_out_row


def test_pictures_lie_in_order_with_gaps_between_them():
    row = lay_out_row([np.full((2, 3, 3), value) for value in (0.0, 0.5, 1.0)], gap_px=1)
    assert row.dtype == np.uint8
    assert row[0, :, 0].tolist() == [0, 0, 0, GAP_SRGB, 128, 128, 128, GAP_SRGB, 255, 255, 255]


def test_one_picture_is_a_row_without_gaps():
    assert lay_out_row([np.zeros((2, 3, 3))]).shape == (2, 3, 3)


def test_values_beyond_the_range_are_clipped():
    assert lay_out_row([np.array([[[-1.0, 0.2, 7.0]]])]).tolist() == [[[0, 51, 255]]]


@pytest.mark.parametrize("pictures", [[], [np.zeros((2, 2, 3)), np.zeros((2, 3, 3))]])
def test_pictures_must_be_there_and_of_one_size(pictures):
    with pytest.raises(ValueError, match="one size"):
        lay_out_row(pictures)
