# SPDX-License-Identifier: Apache-2.0
"""Light of real places for synthetic faces: environment maps as spherical harmonics, turned and exposed at random."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facefactor.camera.pose import matrix_from_euler_deg
from facefactor.data.random_codes import LAMBERT, draw_exposure, harmonics
from facefactor.data.surfaces import SceneLight, split_light
from facefactor.errors import AssetMissing
from facefactor.light.radiance_file import read_radiance_file
from facefactor.light.spherical_harmonics import project_environment_map, rotate_light

TILT_DEG = 12.0
"""Standard deviation of how far a camera looks up or down."""
DESATURATION = 0.6
"""A camera's white balance takes away this share of a place's tint."""


@dataclass(frozen=True)
class Environments:
    """Places whose light may fall on a face."""

    lights: tuple[np.ndarray, ...]
    """(9, 3) each, any strength."""

    @classmethod
    def in_folder(cls, folder: Path) -> "Environments":
        """Read all .hdr panoramas of a folder.

        Raises:
            AssetMissing: there is none, or one is damaged.
        """
        paths = sorted(folder.glob("*.hdr"))
        if not paths:
            raise AssetMissing(f"{folder}: holds no .hdr panorama")
        return cls(tuple(project_environment_map(read_radiance_file(path)) for path in paths))

    def draw(self, generator: np.random.Generator) -> SceneLight:
        """Draw a place, a direction to look in, and an exposure."""
        light = self.lights[generator.integers(len(self.lights))].astype(np.float64)
        angles_deg = [generator.uniform(-180.0, 180.0), TILT_DEG * generator.standard_normal(), 0.0]
        light = rotate_light(light, _turn(angles_deg))
        light = light / (light[0] / light[0].mean()) ** DESATURATION
        facing = float(np.mean((harmonics(np.array([0.0, 0.15, 0.99])) * LAMBERT) @ light))
        strength = max(facing, 0.45 * float(light[0].mean() * harmonics(np.array([0.0, 0.0, 1.0]))[0]))
        return split_light(light * (draw_exposure(generator) / strength))


def _turn(angles_deg: list[float]) -> np.ndarray:
    """Rotation by a yaw of any size, then a tilt of the camera."""
    yaw_deg, tilt_deg, _ = angles_deg
    return matrix_from_euler_deg(np.array([0.0, tilt_deg, 0.0])) @ matrix_from_euler_deg(np.array([yaw_deg, 0.0, 0.0]))
