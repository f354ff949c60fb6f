# SPDX-License-Identifier: Apache-2.0
"""How much of its surroundings each vertex of the head sees: ambient occlusion, computed once for a face model.

    a(v) = Σ_d max(0, n·d) [v is nearest along d] / Σ_d max(0, n·d)        over directions d spread over the sphere

by one z-buffer for each direction (the idea of Zhukov et al. 1998, "An ambient light illumination model"). The mean
head is measured with the mouth shut and open; a face mixes the two by its jawOpen weight. Mouth, nostrils, eye sockets
and the neck under the chin come out dark, as they are in photos.
"""

import math

import numpy as np

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.data.surfaces import light_axes, map_nearness, map_places, shadow_share
from facefactor.face.model import FaceModel
from facefactor.face.normals import vertex_normals

NUM_DIRECTIONS = 96
MAP_PX = 128
MAP_MM = 320.0
BIAS_MM = 4.0
FLOOR = 0.04
"""Light that finds its way into any hollow."""


def ambient_visibility(model: FaceModel) -> np.ndarray:
    """Measure the head with jawOpen 0 and 1: (2, V) float32 in [FLOOR, 1]."""
    open_mouth = model.mean + model.expression_basis[EXPRESSION_NAMES.index("jawOpen")]
    return np.stack([_measure(vertices, model.triangles) for vertices in (model.mean, open_mouth)])


def _measure(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    normals = vertex_normals(vertices, triangles).astype(np.float32)
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    for direction in _directions(NUM_DIRECTIONS):
        cosine = np.maximum(normals @ direction, 0.0)
        seen += cosine * _visible_along(direction, vertices, triangles)
        total += cosine
    return np.clip(seen / np.maximum(total, 1e-6), FLOOR, 1.0).astype(np.float32)


def _visible_along(direction: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    axes, centred = light_axes(direction), vertices - vertices.mean(axis=0)
    nearness = map_nearness(centred, triangles, axes, MAP_PX, MAP_MM)
    return shadow_share(nearness, *map_places(centred, axes, MAP_PX, MAP_MM), BIAS_MM)


def _directions(count: int) -> np.ndarray:
    """Spread unit vectors evenly over the sphere along a golden spiral, (count, 3)."""
    steps = np.arange(count) + 0.5
    height = 1.0 - 2.0 * steps / count
    angle = math.pi * (1.0 + math.sqrt(5.0)) * steps
    radius = np.sqrt(1.0 - height**2)
    return np.stack((radius * np.cos(angle), height, radius * np.sin(angle)), axis=1)
