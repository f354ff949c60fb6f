# SPDX-License-Identifier: Apache-2.0
"""The loops that turn a rasterised surface into light, compiled by numba without a lock; importing imports numba.

A synthetic picture is drawn surface by surface (head, clothes, hair, glasses, hand) at sub-pixels. At each sub-pixel,
with n, ρ, a, s, g, p, c the interpolated normal, albedo, ambient visibility, key-light visibility, gloss, its
exponent and cover:

    colour  = ρ e^(contrast τ) (a E_fill(n)/π + s E_key(n)/π) + s g key (n·h)^p         τ: noise texture at (u, v)
    opacity = clip(1/2 + sharpness (c - 1/2 + raggedness τ), 0, 1)

E/π from nine spherical harmonics that already hold the Lambert factors; h halves the directions to key light and
viewer (Blinn 1977). The surface is laid over the picture where it is nearer than what is there.
"""

import math
from typing import no_type_check

import numpy as np

from facefactor.compiled import compile_kernel

NORMAL, ALBEDO, AMBIENT, KEY, GLOSS, EXPONENT, DEPTH, TEXTURE, COVER = 0, 3, 6, 7, 8, 9, 10, 11, 13
"""First column of each vertex attribute: normal (3), albedo (3), ambient and key-light visibility, gloss and its
exponent, depth in millimetres, texture coordinates (2), cover."""
NUM_ATTRIBUTES = 14

HIGHLIGHT_COSINE = np.float32(0.5)
"""Of n·h; below it a highlight is too weak to be worth its power function."""


@compile_kernel
@no_type_check
def sum_normals(vertices, triangles, normals):
    """Write unit vertex normals, the area-weighted mean of the triangles'.

    Args:
        vertices: (V, 3) float32.
        triangles: (F, 3) int32, counter-clockwise from outside.
        normals: (V, 3) float32, zero at first; written.
    """
    for face in range(len(triangles)):
        i, j, k = triangles[face, 0], triangles[face, 1], triangles[face, 2]
        ax, ay, az = vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2]
        bx, by, bz = vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2]
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for corner in (i, j, k):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
    for vertex in range(len(normals)):
        x, y, z = normals[vertex, 0], normals[vertex, 1], normals[vertex, 2]
        length = math.sqrt(x * x + y * y + z * z)
        if length > 0.0:
            for axis in range(3):
                normals[vertex, axis] /= length


@compile_kernel
@no_type_check
def lay_surface(
    triangle_ids, barycentrics, triangles, attributes, fill, key, key_colour, half, style, texture, colour, depth, veil
):
    """Shade one rasterised surface and lay it over a picture.

    Args:
        triangle_ids: (H, W) int32, -1 where the surface is not.
        barycentrics: (H, W, 3) float32.
        triangles: (F, 3) int32.
        attributes: (V, NUM_ATTRIBUTES) float32.
        fill: (9, 3) float32 polynomial in the normal, as `light_polynomial` makes it, dimmed by ambient visibility.
        key: (9, 3) float32 likewise, dimmed by cast shadows.
        key_colour: (3,) float32 radiance of the highlight.
        half: (3,) float32, the unit vector between key light and viewer.
        style: (3,) float32: texture contrast, edge sharpness, edge raggedness.
        texture: (T, T) float32 noise, repeated over the plane once a unit of (u, v).
        colour: (H, W, 3) float32 linear; written.
        depth: (H, W) float32 millimetres of what is there; written where the surface is more than half opaque.
        veil: (H, W) float32, how much of what was there before is hidden; written.
    """
    height, width = triangle_ids.shape
    size = len(texture)
    one, nothing = np.float32(1.0), np.float32(0.0)
    blended, terms = np.empty(NUM_ATTRIBUTES, np.float32), np.empty(9, np.float32)
    for row in range(height):
        for column in range(width):
            face = triangle_ids[row, column]
            if face < 0:
                continue
            w0, w1, w2 = barycentrics[row, column, 0], barycentrics[row, column, 1], barycentrics[row, column, 2]
            first, second, third = (
                attributes[triangles[face, 0]],
                attributes[triangles[face, 1]],
                attributes[triangles[face, 2]],
            )
            near = w0 * first[DEPTH] + w1 * second[DEPTH] + w2 * third[DEPTH]
            if near >= depth[row, column]:
                continue
            for item in range(NUM_ATTRIBUTES):
                blended[item] = w0 * first[item] + w1 * second[item] + w2 * third[item]
            u, v = blended[TEXTURE] * size, blended[TEXTURE + 1] * size
            noise = texture[math.floor(v) % size, math.floor(u) % size]
            opacity = np.float32(0.5) + style[1] * (blended[COVER] - np.float32(0.5) + style[2] * noise)
            opacity = min(one, max(nothing, opacity))
            if opacity == nothing:
                continue
            x, y, z = blended[NORMAL], blended[NORMAL + 1], blended[NORMAL + 2]
            scale = one / max(np.float32(math.sqrt(x * x + y * y + z * z)), np.float32(1e-12))
            x, y, z = x * scale, y * scale, z * scale
            terms[0], terms[1], terms[2], terms[3], terms[4] = one, y, z, x, x * y
            terms[5], terms[6], terms[7], terms[8] = y * z, z * z, x * z, x * x - y * y
            cosine = x * half[0] + y * half[1] + z * half[2]
            shine = nothing
            if blended[GLOSS] > nothing and cosine > HIGHLIGHT_COSINE:
                shine = blended[GLOSS] * blended[KEY] * np.float32(cosine ** blended[EXPONENT])
            pattern = np.float32(math.exp(style[0] * noise)) if style[0] != nothing else one
            for channel in range(3):
                fill_light, key_light = nothing, nothing
                for term in range(9):
                    fill_light += terms[term] * fill[term, channel]
                    key_light += terms[term] * key[term, channel]
                lit = max(nothing, blended[AMBIENT] * max(nothing, fill_light) + blended[KEY] * key_light)
                radiance = blended[ALBEDO + channel] * pattern * lit + shine * key_colour[channel]
                colour[row, column, channel] += opacity * (min(radiance, one) - colour[row, column, channel])
            veil[row, column] += opacity * (one - veil[row, column])
            if opacity > np.float32(0.5):
                depth[row, column] = near


@compile_kernel
@no_type_check
def key_visibility(places_px, depth_mm, nearness, bias_mm, visibility):
    """Write how much of the key light reaches each vertex: the share of 3 × 3 shadow-map cells that are not nearer.

    Args:
        places_px: (V, 2) float32 places in the shadow map, pixels.
        depth_mm: (V,) float32 distance from the light.
        nearness: (H, W) float32 the map: one over the distance of the nearest surface, zero where there is none.
        bias_mm: how much nearer counts as another surface.
        visibility: (V,) float32; written.
    """
    height, width = nearness.shape
    for vertex in range(len(depth_mm)):
        column, row = math.floor(places_px[vertex, 0]), math.floor(places_px[vertex, 1])
        hidden, seen = 0, 0
        for y in range(max(row - 1, 0), min(row + 2, height)):
            for x in range(max(column - 1, 0), min(column + 2, width)):
                seen += 1
                if nearness[y, x] * (depth_mm[vertex] - bias_mm) > 1.0:
                    hidden += 1
        visibility[vertex] = 1.0 - hidden / max(seen, 1)


@compile_kernel
@no_type_check
def average_and_encode(fine_linear, supersample, srgb_of_linear, encoded):
    """Average supersample² sub-pixels in linear light and encode them through a table.

    Args:
        fine_linear: (H·s, W·s, 3) float32 in [0, 1].
        supersample: s.
        srgb_of_linear: (N,) uint8, the encoding at i / (N - 1).
        encoded: (H, W, 3) uint8; written.
    """
    height, width, _ = encoded.shape
    scale = (len(srgb_of_linear) - 1) / (supersample * supersample)
    for row in range(height):
        for column in range(width):
            for channel in range(3):
                total = 0.0
                for y in range(row * supersample, (row + 1) * supersample):
                    for x in range(column * supersample, (column + 1) * supersample):
                        total += fine_linear[y, x, channel]
                encoded[row, column, channel] = srgb_of_linear[int(total * scale + 0.5)]
