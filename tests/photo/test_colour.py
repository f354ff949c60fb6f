# SPDX-License-Identifier: Apache-2.0
"""The sRGB curve against values of the standard."""

import numpy as np
import pytest

from facefactor.photo.colour import linear_to_srgb, srgb_to_linear


@pytest.mark.parametrize(
    ("encoded", "linear"),
    [
        (0.0, 0.0),
        (1.0, 1.0),
        (0.04, 0.04 / 12.92),
        (0.5, 0.21404114048223255),
        (128 / 255, 0.21586050011389926),
        (0.735356983052449, 0.5),
    ],
)
def test_known_values_are_decoded_and_encoded(encoded: float, linear: float) -> None:
    assert srgb_to_linear(encoded) == pytest.approx(linear, abs=1e-12)
    assert linear_to_srgb(linear) == pytest.approx(encoded, abs=1e-12)


def test_decoding_then_encoding_returns_every_byte() -> None:
    encoded = np.arange(256) / 255
    # The two published thresholds do not meet exactly, by 3e-8; rounding to a byte is far coarser.
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(encoded)), encoded, atol=1e-7)


def test_float32_stays_float32_and_bytes_become_float64() -> None:
    assert srgb_to_linear(np.zeros(3, np.float32)).dtype == np.float32
    assert linear_to_srgb(np.zeros(3, np.float32)).dtype == np.float32
    assert srgb_to_linear(np.zeros(3, np.float64)).dtype == np.float64


def test_the_curve_rises_everywhere() -> None:
    assert (np.diff(srgb_to_linear(np.linspace(-0.1, 1.1, 5001))) > 0).all()
