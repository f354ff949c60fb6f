# SPDX-License-Identifier: Apache-2.0
"""The sRGB curve against values of the standard."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from facefactor.photo.colour import (
    ENCODED_THRESHOLD,
    LINEAR_THRESHOLD,
    linear_to_srgb,
    log_linear_to_srgb,
    srgb_to_linear,
    srgb_to_log_linear,
)


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
    assert srgb_to_linear(np.array(encoded)) == pytest.approx(linear, abs=1e-12)
    assert linear_to_srgb(np.array(linear)) == pytest.approx(encoded, abs=1e-12)


@pytest.mark.parametrize(
    ("linear", "srgb"), [(0.0, 0.0), (1.0, 1.0), (0.0031308, 0.04045), (0.18, 0.4614), (0.5, 0.7354), (-0.1, -1.292)]
)
def test_convention_srgb_encoding_at_known_points(linear: float, srgb: float) -> None:
    assert linear_to_srgb(torch.tensor([linear], dtype=torch.float64)).item() == pytest.approx(srgb, abs=1e-4)


def test_decoding_then_encoding_returns_every_byte() -> None:
    encoded = np.arange(256) / 255
    # The two published thresholds do not meet exactly, by 3e-8; rounding to a byte is far coarser.
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(encoded)), encoded, atol=1e-7)


def test_precision_is_kept() -> None:
    assert srgb_to_linear(np.zeros(3, np.float32)).dtype == np.float32
    assert linear_to_srgb(np.zeros(3, np.float32)).dtype == np.float32
    assert srgb_to_linear(np.zeros(3, np.float64)).dtype == np.float64


def test_the_curve_rises_everywhere() -> None:
    assert (np.diff(srgb_to_linear(np.linspace(-0.1, 1.1, 5001))) > 0).all()


def test_gradients_of_the_encoding_are_right_and_finite_at_black() -> None:
    values = torch.tensor([-0.2, 0.0, 1e-3, 0.02, 0.3, 1.0, 1.4], dtype=torch.float64, requires_grad=True)
    assert gradcheck(linear_to_srgb, (values,))
    assert gradcheck(srgb_to_linear, (values,))
    linear_to_srgb(values).sum().backward()
    assert values.grad is not None
    assert values.grad[1] == 12.92


def test_logarithms_are_those_of_linear_light_down_to_the_straight_part() -> None:
    encoded = np.linspace(0.0, 1.0, 101)
    expected = np.log(srgb_to_linear(encoded).clip(min=LINEAR_THRESHOLD))
    np.testing.assert_allclose(srgb_to_log_linear(encoded), expected, atol=2e-5)
    np.testing.assert_allclose(log_linear_to_srgb(expected), encoded.clip(min=ENCODED_THRESHOLD), atol=2e-5)
