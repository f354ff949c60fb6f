# SPDX-License-Identifier: Apache-2.0
"""Put an edited face back into its photo: the photo itself is moved and multiplied, and drawn over only where it has
nothing to show (numpy, scipy).

With u a pixel, s(u) the place where what is at u after the edit was before it, and A, E the head's albedo and
irradiance before and after (') the edit, in linear light:

    kept      photo(s) · (A'E' / AE)^m      pores, beard and hair are the photo's, whatever changes beneath them
    drawn     A'E'                          what the photo does not show: an opened mouth, lids over open eyes
    picture   (1 − n) · kept + n · drawn

s follows the head's points, and around the head its outline, less and less with the distance; m is the whole head, with
a matte that follows the photo's own edges; n is what of the face the photo does not show. The ratio is held between
limits, since in a photo's shadow there is only noise; highlights, which are no skin, are dimmed by it and not
brightened; and what gets brighter than white is bent below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import factorized

from facefactor.camera.projection import project_points
from facefactor.edit.head_surface import HeadSurface, irradiance_of
from facefactor.edit.matte import follow_edges
from facefactor.edit.posed_head import PosedHead
from facefactor.edit.region import PhotoRegion
from facefactor.face.normals import vertex_normals
from facefactor.photo.colour import srgb_to_linear
from facefactor.photo.read import Photo
from facefactor.render.picture import View
from facefactor.render.vertex import facing_cosines, find_visible, sample_picture

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST_IRRADIANCE = 0.06
"""Of the mean over the face: below it a photo's shadow holds noise."""
LARGEST_LOG_RATIO = 1.6
"""Five times brighter or darker; approached softly."""
SEEN_COSINES = (0.1, 0.4)
"""Between normal and view in the photo: below the first a point counts as unseen, above the second as seen."""
OPENED_MM = 2.0
"""Largest movement within an eye or the mouth from which it counts as opened or shut."""
OPENED_SHARES = (0.3, 0.6)
"""What was visible within an eye or the mouth over what will be: below the first it counts as unseen, since a mouth
that is shut in the photo may be answered a little open, and then lips lie where its teeth are taken to be."""
LID_MOVED_MM = (1.0, 3.0)
"""Movement from which the photo around an eye is kept only where it can be skin: lids that shut would be painted with
stretched lashes."""
OUTLINE_COSINES = (0.3, 0.5)
"""Median cosine of the skin around an eye or the mouth below which it lies on the head's outline."""
HIGHLIGHT = 1.3
"""Times the head's own colour, beyond which a pixel's light counts as a highlight."""
DRAWN_SOFTNESS_PX = 1.0
"""Of the region: softness of the border between what is kept and what is drawn."""
FINER = 2
"""Pixels of the map of movements along each pixel of the other maps."""
REACH = 0.1
"""Of the region: how far around a head the photo goes along with its outline."""
MATTE_RADIUS = 0.03
"""Of the region: about how far the head's outline may be wrong."""
TINT_STIFFNESS = 30.0
"""How far the photo's tint spreads over skin that it does not show, in edges of the mesh, squared."""


def composite(
    photo: Photo, K: Float[np.ndarray, "3 3"], surface: HeadSurface, before: PosedHead, after: PosedHead
) -> np.ndarray:
    """Draw the photo with the head as it is after an edit.

    Args:
        photo: that the head was reconstructed from.
        K: its camera's intrinsics.
        surface: of the head's model.
        before: the head as it was reconstructed.
        after: the same head, edited; its light as strong as it is to be in the photo, see `match_exposure`.

    Returns:
        (height, width, 3) uint8 sRGB, the photo's size; far from the head it is the photo, byte for byte.
    """
    region = PhotoRegion.around(photo, [project_points(head.vertices_camera, K) for head in (before, after)])
    K, view_photo = region.intrinsics(K), region.picture_srgb()
    before_px, after_px = (project_points(head.vertices_camera, K) for head in (before, after))
    view = View(after.vertices_camera, K, surface.triangles, region.size, region.size)
    moved_mm = np.linalg.norm(after.vertices_camera - before.vertices_camera, axis=1)
    offset = _offset(before_px, after_px, after, K, surface, region.size) if moved_mm.any() else None
    colour_before, colour_after = (_own_colour(head, surface) for head in (before, after))
    photo_linear = srgb_to_linear(sample_picture(view_photo[None], before_px[None])[0])
    ratio = np.log(np.maximum(photo_linear, 1e-3) / np.maximum(colour_before, 1e-3))
    (visible, normals), (visible_after, _) = (_visible(head, K, surface, region.size) for head in (before, after))
    cosines = facing_cosines(before.vertices_camera, normals)
    seen = visible * _ramp(cosines, SEEN_COSINES)
    seen *= _kept_share(visible, visible_after, _plausible(ratio), moved_mm, surface)
    tint = _tint(ratio, seen, surface)
    at_vertices = (
        _soft_ratio(colour_before, colour_after),
        colour_after * np.exp(tint),
        colour_before * np.exp(tint),
        (surface.face_opacity * (1 - seen) * _opened_share(cosines, moved_mm, surface))[:, None],
        surface.head_opacity[:, None],
    )
    values = _extend(view.blend(np.concatenate(at_vertices, axis=1).astype(np.float32)), view.coverage)
    log_ratio, drawn, own, new, head = np.split(values, np.cumsum([3, 3, 3, 1]), axis=2)
    matte = follow_edges(head[..., 0] * view.coverage, view_photo, round(MATTE_RADIUS * region.size))
    log_ratio = log_ratio * matte[..., None]
    new = ndimage.gaussian_filter(new * view.coverage[..., None], (DRAWN_SOFTNESS_PX, DRAWN_SOFTNESS_PX, 0))
    maps = np.concatenate((log_ratio, drawn, own, new), axis=2)
    return region.paste(_blend, maps, offset)


def draw_head(
    head: PosedHead, K: Float[np.ndarray, "3 3"], surface: HeadSurface, size_px: tuple[int, int]
) -> np.ndarray:
    """Draw a head alone, before black, (height, width, 3) uint8 sRGB; for faces whose photo is not there."""
    view = View(head.vertices_camera, K, surface.triangles, *size_px, supersample=1)
    return np.rint(255 * view.picture(head.albedo_linear, head.illumination)).astype(np.uint8)


def _visible(head: PosedHead, K: np.ndarray, surface: HeadSurface, size: int) -> tuple[np.ndarray, np.ndarray]:
    """How far vertices are visible, (S,) in [0, 1], and their normals (S, 3)."""
    normals = vertex_normals(head.vertices_camera[None], surface.triangles)
    visible = find_visible(head.vertices_camera[None], normals, K, surface.triangles, size, size)
    return visible[0], normals[0]


def _kept_share(
    visible: np.ndarray, visible_after: np.ndarray, plausible: np.ndarray, moved_mm: np.ndarray, surface: HeadSurface
) -> np.ndarray:
    """(S,) how far what the photo seems to show of mouth and eyes is theirs; 1 elsewhere."""
    share = np.ones_like(moved_mm)
    for inside, _ in surface.inner_parts:
        share[inside] = _ramp(visible[inside].sum() / max(visible_after[inside].sum(), 1.0), OPENED_SHARES)
    for _, around in surface.inner_parts[1:]:
        share[around] = 1 - _ramp(moved_mm[around], LID_MOVED_MM) * (1 - plausible[around])
    return share


def _own_colour(head: PosedHead, surface: HeadSurface) -> np.ndarray:
    """(S, 3) lit albedo, linear; held above the noise of shadows."""
    irradiance = surface.smooth(irradiance_of(head, surface).astype(np.float64))
    least = LEAST_IRRADIANCE * (surface.face_opacity[:, None] * irradiance).sum(axis=0) / surface.face_opacity.sum()
    return head.albedo_linear * np.maximum(irradiance, np.maximum(least, 1e-4))


def _soft_ratio(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Logarithm of after over before, bent at LARGEST_LOG_RATIO."""
    return LARGEST_LOG_RATIO * np.tanh(np.log(after / before) / LARGEST_LOG_RATIO)


def _ramp(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """0 below the first end, 1 above the second."""
    return np.clip((values - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0)


def _opened_share(cosines: np.ndarray, moved_mm: np.ndarray, surface: HeadSurface) -> np.ndarray:
    """(S,) 1 at mouth and eyes that an edit opens or shuts: there alone what was hidden can come to light.

    Less at an eye on the head's outline, where the photo, moved along, is better than anything drawn.
    """
    share = np.zeros_like(moved_mm)
    for inside, around in surface.inner_parts:
        opened = np.clip(moved_mm[inside].max() / OPENED_MM, 0.0, 1.0)
        opened *= _ramp(np.median(cosines[around]), OUTLINE_COSINES)
        ids = np.concatenate((inside, around))
        share[ids] = np.maximum(share[ids], opened)
    return share


def _plausible(ratio: np.ndarray) -> np.ndarray:
    """How far photo over own colour, logarithms (…, 3), is skin's: lashes, glasses and hair are much darker."""
    return 1 / (1 + ratio.mean(axis=-1) ** 4)


def _tint(ratio: np.ndarray, seen: np.ndarray, surface: HeadSurface) -> np.ndarray:
    """(S, 3) log ratio of the photo to the head's own colour on its skin, smooth, spread to what the photo hides.

    (diag(seen) + stiffness Δ) tint = seen · ratio; zero on all that is not skin.
    """
    weights = seen * surface.is_skin * surface.face_opacity * _plausible(ratio)
    system = sparse.diags(weights + 1e-3) + TINT_STIFFNESS * surface.laplacian
    return factorized(system.tocsc())(weights[:, None] * ratio) * surface.is_skin[:, None]


def _extend(values: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Carry the values of a head on beyond its outline, softly."""
    rows, columns = ndimage.distance_transform_edt(coverage == 0, return_distances=False, return_indices=True)
    beyond = ndimage.gaussian_filter(values[rows, columns], (MATTE_RADIUS * len(values) / 2,) * 2 + (0,))
    return np.where(coverage[..., None] > 0, values, beyond)


def _offset(
    before_px: np.ndarray, after_px: np.ndarray, after: PosedHead, K: np.ndarray, surface: HeadSurface, size: int
) -> np.ndarray:
    """Where the head was before, from where it is: (FINER · size, FINER · size, 2), in this map's own pixels.

    Movements of the head reach around it, less and less. Each pixel has that of one point: a mean of two would point
    between them.
    """
    fine_K = np.diag([FINER, FINER, 1.0]) @ K
    view = View(after.vertices_camera, fine_K, surface.triangles, FINER * size, FINER * size, supersample=1)
    offset = _extend(view.blend((FINER * (before_px - after_px)).astype(np.float32)), view.coverage)
    distance = ndimage.distance_transform_edt(view.coverage == 0) / (REACH * len(offset))
    return offset * np.exp(-(distance**2))[..., None]


def _blend(photo_linear: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """New linear colours; see the module's formula. Maps: log ratio, drawn and own colour, share that is drawn."""
    log_ratio, drawn, own, new = np.split(maps, (3, 6, 9), axis=2)
    ratio = np.exp(log_ratio)
    excess = (photo_linear / np.maximum(own, 1e-3)).min(axis=2, keepdims=True) - HIGHLIGHT
    highlight = np.maximum(excess, 0.0) * own.mean(axis=2, keepdims=True)
    highlight = np.minimum(highlight, photo_linear.min(axis=2, keepdims=True))
    kept = (photo_linear - highlight) * ratio + highlight * np.minimum(ratio, 1.0)
    return (1.0 - new) * _below_white(photo_linear, kept) + new * drawn


def _below_white(photo_linear: np.ndarray, brightened: np.ndarray) -> np.ndarray:
    """Bend what has become brighter than the photo below white; what has not is kept."""
    headroom = np.maximum(1.0 - photo_linear, 1e-4)
    gain = np.maximum(brightened - photo_linear, 0.0)
    return np.where(gain > 0.0, photo_linear + headroom * (1.0 - np.exp(-gain / headroom)), brightened)
