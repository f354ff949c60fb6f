# SPDX-License-Identifier: Apache-2.0
"""How well face codes explain photos without anybody's labels: colours and priors (torch).

    E = Σ_v a_v r_v ‖photo(u_v) − colour_v‖₂ / Σ_v a_v r_v  +  priors of shape, reflectance, expression, light, distance

over the visible vertices v of the face and its eyes, each weighted by the pixels a_v that it stands for and by how much
of it the face model explains, r_v (MoFA, arXiv:1703.10580, eqs. 6–10; the robust weights are ours). What a search
minimises for one photo (`fit/objective.py`) and an encoder for all of them (`train/mofa.py`); each adds the landmarks
in its own way.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.code.face_code import FaceCode
from facefactor.light.spherical_harmonics import LUMINANCE_WEIGHTS
from facefactor.losses.light import light_prior, negative_light
from facefactor.losses.photometric import colour_distance, explained_share, photometric_loss
from facefactor.losses.prior import distance_prior, expression_prior, gaussian_prior
from facefactor.photo.colour import linear_to_srgb
from facefactor.render.face_view import FaceView, VertexMasks
from facefactor.render.vertex import sample_picture

GREY_CHROMA = 0.02
"""Largest difference of a pixel's channels, of [0, 1], in a photo without colours."""


@dataclass(frozen=True)
class ReconstructionWeights:
    """Of the terms, relative to a photometric one in sRGB units; re-tuned on portraits."""

    photometric: float = 1.0
    shape: float = 3e-4
    """Of half the squared norm of shape."""
    reflectance: float = 4e-4
    """Of half the squared norm of reflectance."""
    expression: float = 2e-3
    """Of the expression prior."""
    light: float = 6e-3
    """Of the prior on light's strength and tint."""
    negative_light: float = 10.0
    """Of the mean squared irradiance below zero."""
    distance: float = 2e-3
    """Of half the squared standard score of the head's distance."""
    tolerance: float = 3.0
    """Colour distances beyond this many medians are mostly hair, glasses or hands."""


def colours_and_priors(
    code: FaceCode[Tensor],
    view: FaceView,
    picture_srgb: Float[Tensor, "batch height width 3"],
    covered: Float[Tensor, "batch height width 1"],
    scene_white: Float[Tensor, "batch 3"],
    masks: VertexMasks,
    weights: ReconstructionWeights,
) -> dict[str, Float[Tensor, " batch"]]:
    """The weighted terms of each face by name; their sum is its loss.

    Args:
        code: the faces.
        view: the same as the camera sees them.
        picture_srgb: what they are compared with, [0, 1].
        covered: 1 where the crop shows the photo, 0 where it lies outside.
        scene_white: see `losses.light.scene_white`.
        masks: of the face model.
        weights: of the terms.
    """
    return {
        "photometric": photometric_term(view, picture_srgb, covered, weights),
        "shape_prior": weights.shape * gaussian_prior(code.full_shape),
        "reflectance_prior": weights.reflectance * gaussian_prior(code.full_reflectance),
        "expression_prior": weights.expression * expression_prior(code.expression),
        "light_prior": weights.light * light_prior(code.illumination, view.mean_irradiance, scene_white)
        + weights.negative_light * negative_light(view.irradiance[:, masks.compared]),
        "distance_prior": weights.distance * distance_prior(code.translation),
    }


def photometric_term(
    view: FaceView,
    picture_srgb: Float[Tensor, "batch height width 3"],
    covered: Float[Tensor, "batch height width 1"],
    weights: ReconstructionWeights,
) -> Float[Tensor, " batch"]:
    """The first of these terms alone; arguments as in `colours_and_priors`."""
    colour_linear = _without_what_grey_photos_lack(view.colour_linear, picture_srgb)
    inside = view.weights * sample_picture(covered, view.positions_px.detach())[..., 0]
    distance = colour_distance(sample_picture(picture_srgb, view.positions_px), linear_to_srgb(colour_linear))
    trusted = inside * explained_share(distance, inside > 0, weights.tolerance)
    return weights.photometric * photometric_loss(distance, trusted)


def _without_what_grey_photos_lack(
    colour_linear: Float[Tensor, "batch vertices 3"], picture_srgb: Float[Tensor, "batch height width 3"]
) -> Float[Tensor, "batch vertices 3"]:
    """Take the colours from faces whose photos have none: those say how bright the skin is, and nothing of its hue."""
    chroma = picture_srgb.amax(dim=-1) - picture_srgb.amin(dim=-1)
    is_grey = chroma.amax(dim=(1, 2)) < GREY_CHROMA
    luminance = colour_linear @ colour_linear.new_tensor(LUMINANCE_WEIGHTS)
    return torch.where(is_grey[:, None, None], luminance[..., None], colour_linear)
