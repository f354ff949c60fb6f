# SPDX-License-Identifier: Apache-2.0
"""Photos as a camera with another exposure, or without colours, would have taken them (torch).

Place in the flow: training shows an encoder its photos like this, so that it learns that the skin stays what it is when
the picture gets darker. Photos that people publish are well exposed; those that people reconstruct often are not.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facefactor.light.spherical_harmonics import LUMINANCE_WEIGHTS
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear

STOPS = (-2.5, 0.3)
"""Powers of two between which an altered exposure is drawn, evenly; more would only blow out what the photo holds."""
GREY_LEVELS = 255.0
"""Of an 8-bit picture: a dark photo has few of them left."""


@dataclass(frozen=True, eq=False)
class Exposures:
    """How each photo of a batch is taken."""

    gain: Float[Tensor, " batch"]
    """Of its linear light."""
    is_grey: Bool[Tensor, " batch"]
    """Whether it is taken without colours."""

    @classmethod
    def draw(cls, count: int, altered_share: float, grey_share: float, device: torch.device) -> "Exposures":
        """Draw them from torch's generator of the device.

        Args:
            count: of the photos.
            altered_share: of the photos, that are exposed otherwise.
            grey_share: of the photos, that lose their colours.
            device: where the photos are.
        """
        stops = STOPS[0] + (STOPS[1] - STOPS[0]) * torch.rand(count, device=device)
        is_altered = torch.rand(count, device=device) < altered_share
        gain = torch.where(is_altered, stops.exp2(), 1.0)
        return cls(gain, torch.rand(count, device=device) < grey_share)

    def without_colours(self, crops_srgb: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Take the colours of the grey ones away, as their luminance in linear light."""
        luminance = torch.tensor(LUMINANCE_WEIGHTS, device=crops_srgb.device)
        grey = linear_to_srgb(torch.einsum("bchw,c->bhw", srgb_to_linear(crops_srgb), luminance))
        return torch.where(self.is_grey[:, None, None, None], grey[:, None], crops_srgb)

    def expose(self, crops_srgb: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Brighten or darken all of them, with the blown-out lights and the coarse shadows that come with it."""
        is_kept = (self.gain == 1.0)[:, None, None, None]
        linear = self.gain[:, None, None, None] * srgb_to_linear(crops_srgb)
        exposed = (linear_to_srgb(linear.clamp_max(1.0)) * GREY_LEVELS).round() / GREY_LEVELS
        return torch.where(is_kept, crops_srgb, exposed)
