# SPDX-License-Identifier: Apache-2.0
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.data.environments import Environments
from facefactor.data.random_codes import LAMBERT, harmonics
from facefactor.data.surfaces import light_polynomial
from facefactor.errors import AssetMissing
from facefactor.light.spherical_harmonics import irradiance_over_pi


def one_sided_light() -> np.ndarray:
    """Light from the image right on an even grey, of any strength."""
    light = np.zeros((9, 3))
    light[0], light[3] = 700.0, 400.0
    return light


def test_environments_are_exposed_and_turned() -> None:
    environments = Environments((one_sided_light(),))
    lights = [environments.draw(np.random.default_rng(seed)) for seed in range(60)]
    facing = np.array([harmonics(np.array([0.0, 0.0, 1.0])) * LAMBERT @ light.illumination for light in lights])
    assert 0.2 < facing.min() < facing.max() < 2.0
    azimuths = np.array([math.atan2(light.key_direction[0], light.key_direction[2]) for light in lights])
    assert np.histogram(azimuths, bins=4, range=(-math.pi, math.pi))[0].min() > 5


def test_the_polynomial_is_the_light_folders_irradiance() -> None:
    generator = np.random.default_rng(0)
    light, normals = generator.standard_normal((9, 3)), generator.standard_normal((7, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    x, y, z = normals.T
    terms = np.stack((np.ones_like(x), y, z, x, x * y, y * z, z * z, x * z, x * x - y * y), axis=1)
    expected = irradiance_over_pi(torch.from_numpy(normals), torch.from_numpy(light)).numpy()
    assert np.allclose(terms @ light_polynomial(light), expected, atol=1e-6)


def test_a_folder_without_panoramas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match=r"no \.hdr panorama"):
        Environments.in_folder(tmp_path)


@pytest.mark.data
def test_panoramas_of_a_folder_become_lights(shared_data: Path, tmp_path: Path) -> None:
    source = sorted((shared_data / "envmaps").glob("*.hdr"))[0]
    (tmp_path / source.name).symlink_to(source)
    environments = Environments.in_folder(tmp_path)
    assert len(environments.lights) == 1
    assert (environments.lights[0][0] > 0).all()
