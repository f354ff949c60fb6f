# SPDX-License-Identifier: Apache-2.0
"""A light as a user names it, as nine spherical harmonics: a preset, a direction, or an environment map's file (numpy).

studio, left, sunset, …     of `presets.py`
AZIMUTH,ELEVATION           degrees: one white lamp over a weak ambient part, from there
FILE.hdr, FILE.exr          an equirectangular panorama, whose middle is what the camera looks at
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facefactor.errors import AssetMissing, require
from facefactor.light.presets import PRESETS, direction_from_angles_deg, preset_light
from facefactor.light.radiance_file import read_radiance_file
from facefactor.light.spherical_harmonics import (
    LARGEST_ILLUMINATION,
    Y00,
    ambient_light,
    directional_light,
    project_environment_map,
)
from facefactor.paths import why_no_file

if TYPE_CHECKING:
    from jaxtyping import Float

AMBIENT_LINEAR, LAMP_LINEAR = 0.2, 0.9
"""Of a light that is named by its direction."""
PANORAMA_SUFFIXES = (".hdr", ".exr")
DARKEST_PANORAMA = 1e-9
"""Mean radiance, in any unit, of a panorama that still holds light."""
BRIGHTEST_PANORAMA = 1e9
"""Largest coefficient of one that is made white on average: more than a sky of suns in cd/m²."""


def light_from_text(text: str, white_balanced: bool = False) -> Float[np.ndarray, "9 3"]:
    """Make the illumination that a text names, float64, camera frame.

    Args:
        text: see the module's table.
        white_balanced: make a panorama's light white on average, as a camera does that is set to it; else it is as in
            its file, unit and colour.

    Raises:
        ValueError: it names no light; the message says what would.
        AssetMissing: the panorama is not there or cannot be read, or is no light: all dark or far too bright.
        MissingExtra: it is an .exr file, and OpenEXR is not installed.
    """
    if text in PRESETS:
        return preset_light(text)
    if text.lower().endswith(PANORAMA_SUFFIXES):
        return _panorama_light(Path(text), white_balanced)
    try:
        azimuth_deg, elevation_deg = (float(part) for part in text.split(","))
    except ValueError:
        names = ", ".join(PRESETS)
        raise ValueError(
            f"{text!r} is no light: name a preset ({names}), AZIMUTH,ELEVATION in degrees, or an .hdr or .exr file"
        ) from None
    return light_from_direction(azimuth_deg, elevation_deg)


def light_from_direction(azimuth_deg: float, elevation_deg: float) -> Float[np.ndarray, "9 3"]:
    """One white lamp over a weak ambient part; azimuth 0 is at the camera, positive to image right.

    Raises:
        ValueError: an angle is not finite.
    """
    if not np.isfinite([azimuth_deg, elevation_deg]).all():
        raise ValueError(f"a light's direction must be finite, got {azimuth_deg},{elevation_deg}")
    direction = direction_from_angles_deg(azimuth_deg, elevation_deg)
    return ambient_light(np.full(3, AMBIENT_LINEAR)) + directional_light(direction, np.full(3, LAMP_LINEAR))


def read_panorama(path: Path) -> Float[np.ndarray, "height width 3"]:
    """Read an environment map, linear RGB, row 0 at the top.

    Raises:
        AssetMissing, MissingExtra: see `light_from_text`.
    """
    return _read_exr(path) if path.suffix.lower() == ".exr" else read_radiance_file(path)


def _panorama_light(path: Path, white_balanced: bool) -> np.ndarray:
    """The light of a panorama's file; arguments as in `light_from_text`."""
    illumination = project_environment_map(read_panorama(path))
    mean_linear = Y00 * illumination[0]
    if mean_linear.max() < DARKEST_PANORAMA:
        raise AssetMissing(f"{path}: holds no light: the panorama is black")
    if np.abs(illumination).max() > (BRIGHTEST_PANORAMA if white_balanced else LARGEST_ILLUMINATION):
        raise AssetMissing(f"{path}: is too bright for any scene")
    return illumination / np.maximum(mean_linear, DARKEST_PANORAMA) if white_balanced else illumination


def _read_exr(path: Path) -> np.ndarray:
    OpenEXR = require("OpenEXR", "exr", "reading .exr files")
    if reason := why_no_file(path):
        raise AssetMissing(f"{path}: {reason}")
    try:
        with OpenEXR.File(str(path)) as file:
            pixels = file.channels()["RGB" if "RGB" in file.channels() else "RGBA"].pixels
    except Exception:  # whatever the library's parser stumbles on
        raise AssetMissing(f"{path}: is no .exr picture with colours red, green and blue") from None
    return np.maximum(np.nan_to_num(np.asarray(pixels[..., :3], dtype=np.float32)), 0.0)
