# SPDX-License-Identifier: Apache-2.0
"""Lights with a name: a few lamps over an ambient part, each turned into spherical harmonics by its formula (numpy)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from facefactor.light.spherical_harmonics import ambient_light, directional_light

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Lamp:
    """A distant source of a preset."""

    azimuth_deg: float
    elevation_deg: float
    strength_linear: tuple[float, float, float]


@dataclass(frozen=True)
class Preset:
    """A named light: lamps over an ambient part, all in linear RGB."""

    ambient_linear: tuple[float, float, float]
    lamps: tuple[Lamp, ...]


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "ambient": Preset((1.0, 1.0, 1.0), ()),
        "studio": Preset(
            (0.3, 0.3, 0.3), (Lamp(-35.0, 30.0, (0.65, 0.65, 0.65)), Lamp(50.0, 10.0, (0.25, 0.25, 0.25)))
        ),
        "front": Preset((0.15, 0.15, 0.15), (Lamp(0.0, 10.0, (0.85, 0.85, 0.85)),)),
        "left": Preset((0.15, 0.15, 0.15), (Lamp(-70.0, 10.0, (1.1, 1.1, 1.1)),)),
        "right": Preset((0.15, 0.15, 0.15), (Lamp(70.0, 10.0, (1.1, 1.1, 1.1)),)),
        "top": Preset((0.15, 0.15, 0.15), (Lamp(0.0, 70.0, (1.2, 1.2, 1.2)),)),
        "sunset": Preset(
            (0.18, 0.20, 0.30), (Lamp(60.0, 8.0, (1.30, 0.70, 0.30)), Lamp(-80.0, 30.0, (0.1, 0.12, 0.2)))
        ),
    }
)
"""The lights a user can name; left and right are those of the image."""


def preset_light(name: str) -> Float[np.ndarray, "9 3"]:
    """Make the illumination of a named preset.

    Raises:
        ValueError: no preset has this name; the message lists those there are.
    """
    if name not in PRESETS:
        raise ValueError(f"no light is called {name!r}; there are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    illumination = ambient_light(np.array(preset.ambient_linear))
    for lamp in preset.lamps:
        direction = direction_from_angles_deg(lamp.azimuth_deg, lamp.elevation_deg)
        illumination = illumination + directional_light(direction, np.array(lamp.strength_linear))
    return illumination


def direction_from_angles_deg(azimuth_deg: float, elevation_deg: float) -> Float[np.ndarray, "3"]:
    """Point a light: azimuth 0 is at the camera, positive to image right; elevation is positive upwards, degrees."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return np.array(
        [math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)]
    )
