# SPDX-License-Identifier: Apache-2.0
"""The named lights: usable on a face, and where they say they are."""

import numpy as np
import pytest

from facefactor.arrays import unit_vectors
from facefactor.light.presets import PRESETS, direction_from_angles_deg, preset_light
from facefactor.light.spherical_harmonics import dominant_direction, irradiance_over_pi


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_positive_everywhere_and_light_the_face_reasonably(name):
    normals = unit_vectors(np.random.default_rng(0).standard_normal((2000, 3)))
    shading = irradiance_over_pi(normals, preset_light(name))
    assert shading.min() > 0.0
    assert 0.7 < shading.max() < 1.7


def test_convention_left_and_right_lights_are_those_of_the_image():
    assert dominant_direction(preset_light("left"))[0] < -0.9
    assert dominant_direction(preset_light("right"))[0] > 0.9
    assert dominant_direction(preset_light("top"))[1] > 0.9
    assert direction_from_angles_deg(0.0, 0.0).tolist() == [0.0, 0.0, 1.0]


def test_an_unknown_preset_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match=r"'moon'; there are ambient, studio, .*sunset"):
        preset_light("moon")
