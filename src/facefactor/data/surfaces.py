# SPDX-License-Identifier: Apache-2.0
"""Draw a synthetic scene: surfaces laid over a background, lit by one light, with cast shadows and highlights.

    head ─┐
    hair, glasses, … ─┴─ move to camera ─ normals ─ shadow map ─ rasterise ─ shade and lay over ─► canvas

This is not `render/picture.py`: training pictures need veils of hair, shadows and gloss, which no gradient flows
through, and hundreds of them a second. A test draws a bare head with both and finds the same picture.
"""

from dataclasses import dataclass

import numpy as np

from facefactor.data import surface_kernel as kernel
from facefactor.data.framing import project
from facefactor.data.random_codes import LAMBERT, harmonics
from facefactor.light.spherical_harmonics import (
    BAND_1,
    BAND_2_AXIAL,
    BAND_2_MIXED,
    BAND_2_SQUARES,
    LUMINANCE_WEIGHTS,
    Y00,
)
from facefactor.render.zbuffer_kernel import draw_triangles

BASIS_FACTORS = np.array([Y00] + [BAND_1] * 3 + [BAND_2_MIXED] * 2 + [3.0 * BAND_2_AXIAL, BAND_2_MIXED, BAND_2_SQUARES])
"""Of the leading terms of the nine basis functions."""
SHADOW_MAP_PX = 96
WHOLE_MAP = slice(0, SHADOW_MAP_PX)
SHADOW_MAP_MM = 340.0
"""Width of what the shadow map covers, around the head's origin."""
SHADOW_BIAS_MM = 8.0
LIGHT_DISTANCE_MM = 2.0e4
"""Of the shadow map's camera: so far that its rays are parallel."""
LAMP_SHARE = 0.7
"""Of a given light's band 1 that comes from one lamp, which casts shadows."""
LEAST_KEY = 0.05
"""A key light of less luminance casts no shadow worth drawing."""


@dataclass(frozen=True)
class Surface:
    """A mesh with all that its look needs, head frame, millimetres, linear RGB."""

    vertices: np.ndarray
    """(V, 3)"""
    triangles: np.ndarray
    """(F, 3) int32, counter-clockwise from outside."""
    albedo: np.ndarray
    """(V, 3) or (3,)"""
    ambient: np.ndarray | float = 1.0
    """(V,) share of the surrounding that each vertex sees."""
    gloss: np.ndarray | float = 0.0
    """(V,) strength of the highlight."""
    exponent: np.ndarray | float = 12.0
    """(V,) of the highlight; larger is smaller and sharper."""
    cover: np.ndarray | float = 1.0
    """(V,) the surface is there where this is over one half."""
    texture: np.ndarray | float = 0.0
    """(V, 2) places in the noise texture."""
    contrast: float = 0.0
    """Of the noise texture in log albedo."""
    sharpness: float = 1.0
    """Of the edge between cover and none."""
    raggedness: float = 0.0
    """Of that edge, by the noise texture."""
    casts_shadow: bool = True
    from_both_sides: bool = False
    """Drawn as seen from inside too, for what has no thickness."""
    coarse_triangles: np.ndarray | None = None
    """(F', 3) int32 of a coarser mesh on the same vertices, which casts the shadow."""


@dataclass(frozen=True)
class SceneLight:
    """A light in two parts, camera frame, linear RGB spherical harmonics; their sum lights the face code."""

    fill: np.ndarray
    """(9, 3) comes from all around, dimmed in hollows."""
    key: np.ndarray
    """(9, 3) comes from one lamp, which casts shadows."""
    key_direction: np.ndarray
    """(3,) unit, towards the lamp."""

    @property
    def illumination(self) -> np.ndarray:
        """(9, 3) of the face code."""
        return self.fill + self.key


@dataclass(frozen=True)
class View:
    """Pose and camera of a picture."""

    R: np.ndarray
    """(3, 3) head to camera."""
    t: np.ndarray
    """(3,) millimetres."""
    K: np.ndarray
    """(3, 3) intrinsics in pixels of the picture."""
    size_px: int
    supersample: int


@dataclass(frozen=True)
class Canvas:
    """A picture at sub-pixels, written by `lay`."""

    colour: np.ndarray
    """(H·s, W·s, 3) float32 linear."""
    depth: np.ndarray
    """(H·s, W·s) float32 millimetres, infinite on the background."""
    veil: np.ndarray
    """(H·s, W·s) float32 opacity of what lies over the surfaces laid first."""

    @classmethod
    def over(cls, background_linear: np.ndarray) -> "Canvas":
        """Start from a background (H·s, W·s, 3), which is written over."""
        shape = background_linear.shape[:2]
        depth = np.full(shape, np.inf, dtype=np.float32)
        return cls(background_linear, depth, np.zeros(shape, dtype=np.float32))


def lay(canvas: Canvas, surfaces: list[Surface], light: SceneLight, view: View, texture: np.ndarray) -> None:
    """Draw surfaces onto a canvas, in their order; each must be laid after what is seen through it.

    Args:
        canvas: written.
        surfaces: in the head frame; the first is the head, of which the veil is none.
        light: on all of them.
        view: of all of them.
        texture: (T, T) float32 noise of mean zero and deviation one, repeating.
    """
    R, t = view.R.T.astype(np.float32), view.t.astype(np.float32)
    placed = [np.asarray(surface.vertices, np.float32) @ R + t for surface in surfaces]
    key_shares = cast_shadows(surfaces, placed, light)
    lights = _kernel_light(light)
    fine_K = view.K * np.array([[view.supersample], [view.supersample], [1.0]])
    for surface, vertices, key_share in zip(surfaces, placed, key_shares, strict=True):
        places_px = project(vertices, fine_K).astype(np.float32)
        rows = _rows(places_px, len(canvas.depth))
        hits = _hit(places_px, -vertices[:, 2], surface.triangles, rows, len(canvas.depth), surface.from_both_sides)
        style = np.array([surface.contrast, surface.sharpness, surface.raggedness], np.float32)
        attributes = _attributes(surface, vertices, key_share)
        buffers = canvas.colour[rows], canvas.depth[rows], canvas.veil[rows]
        kernel.lay_surface(hits[0], hits[1], surface.triangles, attributes, *lights, style, texture, *buffers)
        if surface is surfaces[0]:
            canvas.veil[:] = 0.0


def cast_shadows(surfaces: list[Surface], placed: list[np.ndarray], light: SceneLight) -> list[np.ndarray]:
    """How much of the key light reaches each vertex of each surface, [0, 1], by one shadow map.

    Args:
        surfaces: all of the scene.
        placed: their vertices (V, 3), camera frame.
        light: of the scene.
    """
    if float(light.key[0] @ LUMINANCE_WEIGHTS) < LEAST_KEY:
        return [np.ones(len(vertices), dtype=np.float32) for vertices in placed]
    axes = light_axes(light.key_direction)
    centre = placed[0].mean(axis=0)
    nearness = np.zeros((SHADOW_MAP_PX, SHADOW_MAP_PX), dtype=np.float32)
    seen_from_light = [map_places(vertices - centre, axes, SHADOW_MAP_PX, SHADOW_MAP_MM) for vertices in placed]
    for surface, (places_px, depth_mm) in zip(surfaces, seen_from_light, strict=True):
        if surface.casts_shadow:
            triangles = surface.triangles if surface.coarse_triangles is None else surface.coarse_triangles
            hits = _hit(places_px, depth_mm, triangles, WHOLE_MAP, SHADOW_MAP_PX, surface.from_both_sides)
            np.maximum(nearness, hits[2], out=nearness)
    return [shadow_share(nearness, *places, SHADOW_BIAS_MM) for places in seen_from_light]


def shadow_share(nearness: np.ndarray, places_px: np.ndarray, depth_mm: np.ndarray, bias_mm: float) -> np.ndarray:
    """The share of the shadow map's cells around each point (N,) in which nothing is nearer to the light."""
    share = np.empty(len(depth_mm), dtype=np.float32)
    kernel.key_visibility(places_px, depth_mm, nearness, bias_mm, share)
    return share


def map_places(points: np.ndarray, axes: np.ndarray, size_px: int, width_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Where points fall in a shadow map, (N, 2) pixels, and how far from the light they are, (N,) mm; float32.

    Args:
        points: (N, 3) around the middle of the map, millimetres.
        axes: (3, 3) rows right, up, towards the light.
        size_px: of the map.
        width_mm: of what it covers.
    """
    turned = np.asarray(points, np.float32) @ axes.T.astype(np.float32)
    scale = np.float32(size_px / width_mm)
    places_px = turned[:, :2] * np.array([scale, -scale]) + np.float32(size_px / 2)
    return places_px, np.float32(LIGHT_DISTANCE_MM) - turned[:, 2]


def map_nearness(
    points: np.ndarray, triangles: np.ndarray, axes: np.ndarray, size_px: int, width_mm: float
) -> np.ndarray:
    """Shadow map (size, size) of one mesh: one over the distance from the light, zero where there is nothing."""
    return _hit(*map_places(points, axes, size_px, width_mm), triangles, slice(0, size_px), size_px, False)[2]


def light_axes(direction: np.ndarray) -> np.ndarray:
    """Axes (3, 3) of a light's map: rows right, up and, along the unit direction, towards the light."""
    helper = (0.0, 1.0, 0.0) if abs(direction[1]) < 0.9 else (1.0, 0.0, 0.0)
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    return np.stack((right, np.cross(direction, right), direction))


def split_light(illumination: np.ndarray) -> SceneLight:
    """Take a light (9, 3) apart into a lamp where most light comes from, and the rest.

    A lamp of strength s in direction d has the band-1 coefficients π BAND_1 s d; it is given LAMP_SHARE of what the
    light's own band 1 says.
    """
    band_1 = illumination[[3, 1, 2]].astype(np.float64)
    direction = band_1 @ LUMINANCE_WEIGHTS
    direction = direction / max(float(np.linalg.norm(direction)), 1e-9)
    strength = LAMP_SHARE * np.maximum(direction @ band_1, 0.0) / (np.pi * BAND_1)
    key = np.pi * harmonics(direction)[:, None] * strength
    return SceneLight(illumination - key, key, direction)


def light_polynomial(illumination: np.ndarray) -> np.ndarray:
    """Write E(n)/π as coefficients (9, 3) float32 of 1, y, z, x, xy, yz, z², xz, x² - y² in the unit normal."""
    polynomial = illumination * (LAMBERT * BASIS_FACTORS)[:, None]
    polynomial[0] -= LAMBERT[6] * BAND_2_AXIAL * illumination[6]  # of the band-2 function 3z² - 1
    return polynomial.astype(np.float32)


def _kernel_light(light: SceneLight) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fill and key as polynomials, colour of the highlight, and the direction half way to the viewer."""
    half = light.key_direction + np.array([0.0, 0.0, 1.0])
    half = half / max(float(np.linalg.norm(half)), 1e-6)
    highlight = np.maximum((harmonics(light.key_direction) * LAMBERT) @ light.key, 0.0)
    return (
        light_polynomial(light.fill),
        light_polynomial(light.key),
        highlight.astype(np.float32),
        half.astype(np.float32),
    )


def _rows(places_px: np.ndarray, size_px: int) -> slice:
    """The rows of a picture in which these places are."""
    top, bottom = np.clip([places_px[:, 1].min() - 1, places_px[:, 1].max() + 2], 0, size_px)
    return slice(int(top), int(bottom))


def _hit(
    places_px: np.ndarray, depth_mm: np.ndarray, triangles: np.ndarray, rows: slice, width_px: int, both_sides: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangle, weights and nearness in these rows of a picture; `rasterise` without its checks of arguments."""
    shape = (rows.stop - rows.start, width_px)
    ids = np.full(shape, -1, dtype=np.int32)
    weights = np.empty((*shape, 3), dtype=np.float32)
    nearness = np.zeros(shape, dtype=np.float32)
    draw_triangles(places_px, depth_mm, triangles, not both_sides, rows.start, ids, weights, nearness)
    return ids, weights, nearness


def _attributes(surface: Surface, vertices: np.ndarray, key_share: np.ndarray) -> np.ndarray:
    """Lay the vertex attributes out as the kernel reads them."""
    attributes = np.zeros((len(vertices), kernel.NUM_ATTRIBUTES), dtype=np.float32)
    normals = np.zeros_like(vertices)
    kernel.sum_normals(vertices, surface.triangles, normals)
    attributes[:, kernel.NORMAL : kernel.NORMAL + 3] = normals
    attributes[:, kernel.ALBEDO : kernel.ALBEDO + 3] = surface.albedo
    attributes[:, kernel.AMBIENT] = surface.ambient
    attributes[:, kernel.KEY] = key_share
    attributes[:, kernel.GLOSS] = surface.gloss
    attributes[:, kernel.EXPONENT] = surface.exponent
    attributes[:, kernel.DEPTH] = -vertices[:, 2]
    attributes[:, kernel.TEXTURE : kernel.TEXTURE + 2] = surface.texture
    attributes[:, kernel.COVER] = surface.cover
    return attributes
