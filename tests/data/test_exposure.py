# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from facefactor.data.exposure import STOPS, Exposures
from facefactor.photo.colour import srgb_to_linear

CPU = torch.device("cpu")


@pytest.fixture
def crops() -> torch.Tensor:
    return (torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).round() / 255


def exposures(gain: list[float], is_grey: list[bool]) -> Exposures:
    return Exposures(torch.tensor(gain), torch.tensor(is_grey))


def test_light_is_multiplied_and_what_is_not_altered_stays_as_it_is(crops):
    exposed = exposures([0.25, 1.0, 1.5], [False] * 3).expose(crops)
    torch.testing.assert_close(srgb_to_linear(exposed[0]), 0.25 * srgb_to_linear(crops[0]), atol=5e-3, rtol=0)
    assert torch.equal(exposed[1], crops[1])
    assert exposed[2].max() == 1.0  # blown out
    levels = exposed * 255
    torch.testing.assert_close(levels, levels.round())


def test_grey_photos_keep_their_luminance_and_the_others_their_colours(crops):
    grey = exposures([1.0] * 3, [False, True, False]).without_colours(crops)
    assert torch.equal(grey[[0, 2]], crops[[0, 2]])
    assert torch.equal(grey[1, 0], grey[1, 2])
    luminance = (srgb_to_linear(crops[1]) * torch.tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(0)
    torch.testing.assert_close(srgb_to_linear(grey[1, 0]), luminance)


def test_the_shares_and_the_range_are_kept():
    torch.manual_seed(0)
    drawn = Exposures.draw(4000, 0.4, 0.1, CPU)
    assert ((drawn.gain != 1.0).float().mean() - 0.4).abs() < 0.03
    assert (drawn.is_grey.float().mean() - 0.1).abs() < 0.02
    altered = drawn.gain[drawn.gain != 1.0].log2()
    assert STOPS[0] <= altered.min() < STOPS[0] + 0.05
    assert STOPS[1] - 0.05 < altered.max() <= STOPS[1]
    nothing = Exposures.draw(50, 0.0, 0.0, CPU)
    assert (nothing.gain == 1.0).all()
    assert not nothing.is_grey.any()
