# SPDX-License-Identifier: Apache-2.0
"""Relight a photo: the ratio of new to old shading, applied to the photo itself (numpy).

The photo's own detail, hair and background stay; see `composite.py`. A new light is made as bright as the photo's on
the face unless its own strength is wanted, so that the face goes with its surroundings.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from facefactor.edit.composite import composite
from facefactor.edit.head_surface import HeadSurface, irradiance_of
from facefactor.edit.posed_head import PosedHead
from facefactor.light.spherical_harmonics import LUMINANCE_WEIGHTS
from facefactor.photo.read import Photo

if TYPE_CHECKING:
    from jaxtyping import Float


def relight(
    photo: Photo,
    K: Float[np.ndarray, "3 3"],
    surface: HeadSurface,
    head: PosedHead,
    illumination: Float[np.ndarray, "9 3"],
    keep_exposure: bool = True,
) -> np.ndarray:
    """Draw the photo under another light.

    Args:
        photo: that the head was reconstructed from.
        K: its camera's intrinsics.
        surface: of the head's model.
        head: with the photo's light.
        illumination: the new light, in the photo's camera frame.
        keep_exposure: make the new light as bright on the face as the photo's; else it is taken as it is, in units of
            the albedo.

    Returns:
        (height, width, 3) uint8 sRGB.
    """
    lit = dataclasses.replace(head, illumination=illumination)
    if keep_exposure:
        lit = match_exposure(lit, head, surface)
    return composite(photo, K, surface, head, lit)


def match_exposure(head: PosedHead, other: PosedHead, surface: HeadSurface) -> PosedHead:
    """Copy a head under a light that goes with another's: as bright on the face, on average, and white as that is.

    White light stays white in the photo's eyes: its channels take the mean colour of the other head's light. A light
    that has a colour keeps it, relative to that.
    """
    wanted, found = (surface.face_opacity @ irradiance_of(each, surface) for each in (other, head))
    return dataclasses.replace(head, illumination=head.illumination * wanted / max(found @ LUMINANCE_WEIGHTS, 1e-6))
