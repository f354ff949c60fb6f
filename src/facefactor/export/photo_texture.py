# SPDX-License-Identifier: Apache-2.0
"""A head's UV texture with the photo's own detail, texel by texel, completed where the photo does not see the face.

Place in the flow: the face model's albedo, completed (`completion.py`), and the photo's detail at the vertices
(`fit/detail.py`) → this → the base colour of the exported head. A texel is a place on the surface; where the photo
shows it, it is finer than the vertices, so its ratio to what is expected is taken there once more, in linear light:

    d = log(photo / expected),      texel = albedo · exp(c d + (1 − c) c' d')

d is taken as far as it can be skin's (`skin_ratio.py`), c is the trust in the photo, d' and c' are the same of the
mirrored place on the other half of the face. So a texel takes the photo's detail where it is seen, else the other
half's, else none. The expected colour holds everything wide
and is continuous over the mesh, as are both trusts: nothing jumps at a border of sight, at the midline or between
charts. It is a blend of two bands, of which the wide one is the completed albedo everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facefactor.camera.projection import project_points
from facefactor.export.completion import AlbedoCompletion
from facefactor.export.skin_ratio import skin_ratio
from facefactor.export.texture import TextureAtlas
from facefactor.face.face_graph import FaceGraph
from facefactor.face.model import ALBEDO_RANGE, FaceModel
from facefactor.fit.detail import FACING_RAMP, SkinDetail
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.fragments import blend_corners
from facefactor.render.vertex import sample_picture

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

OWN_LOG_RATIO, MIRRORED_LOG_RATIO = 1.6, 0.3
"""Log ratio at which trust in a texel is halved: what is not skin, a strand of hair or a frame of glasses, may stay
where it was seen, faintly, but shall not be seen twice."""
OWN_ROUGHNESS, MIRRORED_ROUGHNESS = 0.6, 0.25
"""Root mean square of log ratios over a centimetre around at which trust is halved, for the same reason: calm skin has
about 0.1, a beard or a brow 0.4, hair from 0.5 up."""
NEGLIGIBLE_SHARE = 0.004
"""Share of a place's detail below which it is left out: less than a step of 8 bits."""


def crop_size_for(texture_size: int) -> int:
    """Width and height of a face's crop whose pixels are about as fine as the texels of its texture, pixels.

    On the face a texel of a texture of 1024 is about 0.45 mm wide, as is a pixel of a crop of 512.
    """
    return max(1, texture_size // 2)


class PhotoTexture:
    """Paints the textures of one face model's heads.

    Args:
        model: the face model.
        size: texture width and height, pixels.
    """

    def __init__(self, model: FaceModel, size: int) -> None:
        surface = (model.triangles_subdivided, model.uv_subdivided, model.uv_triangles_subdivided)
        self._atlas = TextureAtlas(*surface, size)
        self._graph = FaceGraph(model)
        self._completion = AlbedoCompletion(model, self._graph)
        self._on_face = np.flatnonzero(self._graph.in_face[self._atlas.corners].any(axis=1))
        self._corners, self._weights = self._atlas.corners[self._on_face], self._atlas.weights[self._on_face]
        self._mirrored_corners = self._graph.mirrored[self._corners]

    def plain(self, albedo_linear: Float[np.ndarray, "subdivided 3"]) -> UInt8[np.ndarray, "size size 3"]:
        """The texture of a head without a photo, sRGB, row 0 at v = 1."""
        return self._atlas.bake(albedo_linear)

    def paint(
        self,
        base_linear: Float[np.ndarray, "subdivided 3"],
        corrected_linear: Float[np.ndarray, "subdivided 3"],
        detail: SkinDetail,
        vertices_camera: Float[np.ndarray, "subdivided 3"],
        illumination: Float[np.ndarray, "9 3"],
        K: Float[np.ndarray, "3 3"],
        crop_srgb: Float[np.ndarray, "rows columns 3"],
    ) -> UInt8[np.ndarray, "size size 3"]:
        """The texture with a photo's detail, sRGB, row 0 at v = 1.

        Args:
            base_linear: albedo by the face model without corrections.
            corrected_linear: with them.
            detail: what `DetailTransfer.compare` found with the latter.
            vertices_camera: the posed face, millimetres.
            illumination: spherical harmonics in the camera frame.
            K: intrinsics of the crop.
            crop_srgb: the photo's part that shows the face, [0, 1], about as fine as the texture.
        """
        photo = _PhotoOfFace(vertices_camera, detail.log_expected, _lamp_colour(illumination), K, crop_srgb)
        own_trust, other_trust = self._trusts(detail)
        here, there = self._corners, self._mirrored_corners
        own_share = blend_corners(own_trust[:, None], here, self._weights)[:, 0]
        own, own_share = photo.look(here, self._weights, OWN_LOG_RATIO, own_share)
        other_share = (1.0 - own_share) * blend_corners(other_trust[:, None], there, self._weights)[:, 0]
        other, other_share = photo.look(there, self._weights, MIRRORED_LOG_RATIO, other_share)
        change = np.exp(own_share[:, None] * own + other_share[:, None] * other)
        texels_linear = self._atlas.blend(self._completion.complete(base_linear, corrected_linear, detail.seen))
        texels_linear[self._on_face] = np.clip(texels_linear[self._on_face] * change, *ALBEDO_RANGE)
        return self._atlas.encode(texels_linear)

    def _trusts(self, detail: SkinDetail) -> tuple[np.ndarray, np.ndarray]:
        """(S,) each: trust in the detail at the vertices, to be used there, and to be used on the other side."""
        is_seen = detail.seen > FACING_RAMP[0]
        squares = detail.log_fine.mean(axis=1, keepdims=True) ** 2
        roughness = np.sqrt(self._graph.average_around(squares, is_seen.astype(np.float32)))[:, 0]
        own, other = (detail.trust * _halved_at(most, roughness) for most in (OWN_ROUGHNESS, MIRRORED_ROUGHNESS))
        return own, other


class _PhotoOfFace:
    """A photo to be read at places on a face's surface."""

    def __init__(
        self,
        vertices_camera: np.ndarray,
        log_expected: np.ndarray,
        lamp_colour: np.ndarray,
        K: np.ndarray,
        crop_srgb: np.ndarray,
    ) -> None:
        self._lamp_colour, self._K, self._crop_srgb = lamp_colour, K.astype(np.float32), crop_srgb
        self._surface = np.concatenate([vertices_camera, log_expected], axis=1, dtype=np.float32)

    def look(
        self,
        corners: Int[np.ndarray, "places 3"],
        weights: Float[np.ndarray, "places 3"],
        skin_log_ratio: float,
        share: Float[np.ndarray, " places"],
    ) -> tuple[Float[np.ndarray, "places 3"], Float[np.ndarray, " places"]]:
        """Detail at places inside triangles, and what is left of its share, since not all of it can be skin's.

        Args:
            corners: vertices of each place's triangle.
            weights: their barycentric weights.
            skin_log_ratio: at which the share is halved.
            share: [0, 1]; what is less than NEGLIGIBLE_SHARE is not looked at.
        """
        seen = np.flatnonzero(share > NEGLIGIBLE_SHARE)
        there = blend_corners(self._surface, corners[seen], weights[seen])
        positions_px = project_points(there[:, :3], self._K)
        photo_linear = srgb_to_linear(sample_picture(self._crop_srgb[None], positions_px[None])[0])
        detail, brightness = skin_ratio(photo_linear, np.exp(there[:, 3:]), self._lamp_colour)
        log_detail = np.zeros((len(corners), 3), dtype=np.float32)
        log_detail[seen] = detail
        left = np.zeros(len(corners), dtype=np.float32)
        left[seen] = share[seen] * _halved_at(skin_log_ratio, brightness)
        return log_detail, left


def _halved_at(most: float, amount: np.ndarray) -> np.ndarray:
    """Trust in [0, 1] that falls with an amount and is halved at `most`."""
    return 1.0 / (1.0 + (amount / most) ** 4)


def _lamp_colour(illumination: np.ndarray) -> np.ndarray:
    """(3,) float32 colour of the light from all around, mean one."""
    return (illumination[0] / illumination[0].mean()).astype(np.float32)
