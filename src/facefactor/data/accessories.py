# SPDX-License-Identifier: Apache-2.0
"""What else stands before a face or below it: glasses, a hand, clothes. In the head frame, millimetres, linear RGB."""

import numpy as np

from facefactor.data.solids import ellipsoid, join, tube
from facefactor.data.surfaces import Surface
from facefactor.photo.landmarks import LEFT_PUPIL, NOSE_RIDGE, RIGHT_PUPIL

FINGER_LENGTHS_MM = (68.0, 78.0, 74.0, 58.0)
SUNGLASSES_SHARE = 0.2


def put_on_glasses(landmarks: np.ndarray, generator: np.random.Generator) -> list[Surface]:
    """Put glasses on: rims, bridge, temples, and lenses that are clear, tinted or dark.

    Args:
        landmarks: (478, 3) head frame, millimetres.
        generator: of the draw.
    """
    pupils = landmarks[[RIGHT_PUPIL, LEFT_PUPIL]]
    half_size = generator.uniform((21.0, 15.0), (29.0, 25.0))
    ridge = landmarks[NOSE_RIDGE[0]]
    plane_z = max(ridge[2] + 2.0, pupils[:, 2].max() + 9.0) + generator.uniform(0.0, 5.0)
    power = generator.uniform(2.0, 4.5)
    drop = generator.uniform(-2.0, 8.0)
    radius = generator.uniform(0.6, 2.4)
    rims = [_rim(pupil, half_size, plane_z, power, drop) for pupil in pupils]
    tubes = [tube(rim, radius) for rim in rims]
    tubes += [tube(_bridge(rims, half_size, drop, plane_z), radius)]
    tubes += [tube(_temple(pupil, half_size, plane_z, drop), 0.9 * radius) for pupil in pupils]
    colour = generator.choice(
        [(0.02, 0.02, 0.02), (0.10, 0.04, 0.02), (0.35, 0.33, 0.3), (0.3, 0.05, 0.05)], p=[0.5, 0.25, 0.2, 0.05]
    )
    frame = Surface(*join(tubes), colour, gloss=generator.uniform(0.05, 0.5), exponent=40.0)
    is_dark = generator.random() < SUNGLASSES_SHARE
    opacity = generator.uniform(0.7, 0.97) if is_dark else generator.uniform(0.0, 0.12)
    tint = np.array([0.02, 0.02, 0.022]) if is_dark else np.array([0.35, 0.4, 0.42])
    lenses = Surface(
        *join([_lens(rim) for rim in rims]), tint, gloss=generator.uniform(0.1, 1.0), cover=opacity, exponent=30.0,
        casts_shadow=False, from_both_sides=True,
    )  # fmt: skip
    return [lenses, frame]


def hold_hand(vertices: np.ndarray, landmarks: np.ndarray, skin: np.ndarray, generator: np.random.Generator) -> Surface:
    """Hold a hand before a part of the face: a palm, four fingers side by side or spread, a thumb.

    Args:
        vertices: (V, 3) the head.
        landmarks: (478, 3)
        skin: linear albedo (3,).
        generator: of the draw.
    """
    target = landmarks[generator.integers(468)] * (1.0, 1.0, 0.0)
    target = target + np.append(generator.normal(0.0, 15.0, 2), 0.0)
    angle = generator.uniform(-0.9, 0.9) + (np.pi / 2 * np.sign(target[0]) if generator.random() < 0.5 else 0.0)
    along = np.array([-np.sin(angle), np.cos(angle), 0.0])
    across = np.array([along[1], -along[0], 0.0]) * generator.choice((-1.0, 1.0))
    front = vertices[np.hypot(*(vertices[:, :2] - target[:2]).T) < 45.0]
    depth = (front[:, 2].max() if len(front) else 0.0) + generator.uniform(12.0, 45.0)
    wrist = target + np.array([0.0, 0.0, depth]) - along * generator.uniform(40.0, 95.0)
    spread = generator.uniform(0.0, 0.18)
    parts = [ellipsoid(wrist, np.array([36.0 * across, 44.0 * along, 13.0 * np.cross(across, along)]))]
    for place, length in zip((-1.5, -0.5, 0.5, 1.5), FINGER_LENGTHS_MM, strict=True):
        direction = along + spread * place * across + (0.0, 0.0, -0.12)
        root = wrist + 17.5 * place * across + 32.0 * along
        parts.append(_finger(root, direction, length * generator.uniform(0.75, 1.05), generator))
    parts.append(_finger(wrist - 30.0 * across, 0.8 * along - 0.7 * across, 58.0, generator))
    points, triangles = join([_outwards(part) for part in parts])
    texture = points[:, :2] / 30.0
    return Surface(points, triangles, skin, ambient=0.85, gloss=0.03, texture=texture, contrast=0.06)


def dress(colour: np.ndarray, turn_rad: float, generator: np.random.Generator) -> Surface:
    """Put shoulders under the head.

    Args:
        colour: linear albedo (3,).
        turn_rad: yaw of the head, of which the body does a part.
        generator: of the draw.
    """
    back = -turn_rad * generator.uniform(0.3, 0.9)
    side = np.array([np.cos(back), 0.0, -np.sin(back)])
    front = np.array([np.sin(back), 0.0, np.cos(back)])
    centre = np.array([0.0, -350.0 + generator.normal(0.0, 8.0), -95.0])
    axes = np.array([generator.uniform(200.0, 245.0) * side, [0.0, 215.0, 0.0], 125.0 * front])
    points, triangles = _outwards(ellipsoid(centre, axes, rows=18, columns=24))
    texture = points[:, :2] / generator.uniform(15.0, 60.0)
    return Surface(points, triangles, colour, ambient=0.8, texture=texture, contrast=generator.uniform(0.0, 0.3))


def _rim(pupil: np.ndarray, half_size: np.ndarray, plane_z: float, power: float, drop: float) -> np.ndarray:
    """A superellipse around a pupil, bent back towards the temples, (33, 3), its last point its first."""
    angle = np.linspace(0.0, 2 * np.pi, 33)
    x = half_size[0] * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power)
    y = half_size[1] * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power)
    points = np.stack((pupil[0] + x, pupil[1] - drop + y, np.full_like(x, plane_z)), axis=1)
    points[:, 2] -= 0.004 * points[:, 0] ** 2 - 0.004 * 32.0**2 * 0.5
    return points


def _bridge(rims: list[np.ndarray], half_size: np.ndarray, drop: float, plane_z: float) -> np.ndarray:
    start, end = rims[0][rims[0][:, 0].argmax()], rims[1][rims[1][:, 0].argmin()]
    steps = np.linspace(0.0, 1.0, 6)[:, None]
    return start + steps * (end - start) + np.sin(np.pi * steps) * (0.0, 4.0, 3.0) + (0.0, 0.3 * half_size[1], 0.0)


def _temple(pupil: np.ndarray, half_size: np.ndarray, plane_z: float, drop: float) -> np.ndarray:
    side = np.sign(pupil[0])
    start = np.array([pupil[0] + side * half_size[0], pupil[1] - drop + 0.35 * half_size[1], plane_z - 9.0])
    end = np.array([side * 84.0, pupil[1] + 2.0, -85.0])
    bend = np.array([side * 80.0, start[1], -8.0])
    steps = np.linspace(0.0, 1.0, 8)[:, None]
    return (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * bend + steps**2 * end


def _lens(rim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre = rim[:-1].mean(axis=0, keepdims=True)
    points = np.concatenate((centre, centre + 0.97 * (rim - centre)))
    ring = np.arange(1, len(rim))
    triangles = np.stack((np.zeros_like(ring), ring, ring + 1), axis=1).astype(np.int32)
    return points, triangles


def _finger(
    root: np.ndarray, direction: np.ndarray, length: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    steps = np.array([0.0, 0.25, 0.5, 0.75, 0.92, 0.98, 1.0])[:, None]
    path = root + steps * length * direction + steps**2 * length * generator.uniform(0.0, 0.25) * np.array([0, 0, -1.0])
    radius = generator.uniform(8.2, 9.6) * np.array([1.05, 1.0, 0.98, 0.92, 0.78, 0.5, 0.02])
    return tube(path, radius, sides=10)


def _outwards(mesh: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Turn the triangles of a closed convex-like mesh to the outside, by the sign of its volume."""
    points, triangles = mesh
    first, second, third = np.moveaxis(points[triangles] - points.mean(axis=0), 1, 0)
    if (first * np.cross(second, third)).sum() < 0.0:
        return points, triangles[:, ::-1].copy()
    return points, triangles
