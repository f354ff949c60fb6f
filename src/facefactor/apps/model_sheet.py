# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of the face model (torch): random heads, and each of the 52 expressions at weight one."""

import numpy as np
import torch
from torch import Tensor

from facefactor.camera.pose import matrix_from_euler_deg, move_to_camera
from facefactor.camera.projection import crop_intrinsics
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.linear_bases import JAW_OPEN, MOUTH_CLOSE
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.light.presets import preset_light
from facefactor.render.picture import View

TILE_PX = 256
COLUMNS = 6
EXPRESSION_COLUMNS = 9
HEAD_AT_MM, FACE_AT_MM = (0.0, 8.0, -1300.0), (0.0, 28.0, -880.0)
"""Where the origin of the head frame is put for whole heads, and for faces."""
YAWS_DEG = (-25.0, 0.0, 25.0, 0.0, 50.0, 0.0)
"""Views of the random heads, in turn."""
BACKGROUND_SRGB = 0.16
SEEN_FROM_THE_SIDE = ("jawForward", "tongueOut")


@torch.no_grad()
def draw_random_heads(model: FaceModel, count: int, seed: int) -> np.ndarray:
    """Heads whose shape and reflectance are drawn from the prior.

    Args:
        model: the face model.
        count: of heads.
        seed: of the draw.

    Returns:
        (H, W, 3) uint8.
    """
    face, generator = MorphableFace(model), torch.Generator().manual_seed(seed)
    neutral = torch.zeros(1, len(EXPRESSION_NAMES))
    tiles = []
    for index in range(count):
        shape, reflectance = (
            torch.randn(1, len(basis), generator=generator) for basis in (model.shape_basis, model.reflectance_basis)
        )
        yaw_deg = YAWS_DEG[index % len(YAWS_DEG)]
        tiles.append(_draw(face, model, shape, neutral, reflectance, yaw_deg, HEAD_AT_MM))
    return _sheet(tiles, COLUMNS)


@torch.no_grad()
def draw_expressions(model: FaceModel) -> np.ndarray:
    """Each expression at weight one on the mean face, in the order of EXPRESSION_NAMES; mouthClose on an open jaw.

    Returns:
        (H, W, 3) uint8.
    """
    face = MorphableFace(model)
    plain = [torch.zeros(1, len(basis)) for basis in (model.shape_basis, model.reflectance_basis)]
    tiles = []
    for index, name in enumerate(EXPRESSION_NAMES):
        expression = torch.zeros(1, len(EXPRESSION_NAMES))
        expression[0, index] = 1
        if index == MOUTH_CLOSE:
            expression[0, JAW_OPEN] = 1
        yaw_deg = 60.0 if name in SEEN_FROM_THE_SIDE else 0.0
        tiles.append(_draw(face, model, plain[0], expression, plain[1], yaw_deg, FACE_AT_MM))
    return _sheet(tiles, EXPRESSION_COLUMNS)


def _draw(
    face: MorphableFace,
    model: FaceModel,
    shape: Tensor,
    expression: Tensor,
    reflectance: Tensor,
    yaw_deg: float,
    at_mm: tuple[float, float, float],
) -> np.ndarray:
    vertices = face.subdivide(face.vertices(shape, expression))[0].numpy()
    R = matrix_from_euler_deg(np.array([yaw_deg, 0.0, 0.0]))
    posed = move_to_camera(vertices, R, np.array(at_mm))
    view = View(posed, crop_intrinsics(TILE_PX), model.triangles_subdivided, TILE_PX, TILE_PX)
    background = np.full((TILE_PX, TILE_PX, 3), BACKGROUND_SRGB)
    picture = view.picture(face.albedo(reflectance)[0].numpy(), preset_light("studio"), background)
    return np.rint(255 * picture).astype(np.uint8)


def _sheet(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Lay tiles out in rows, the last one filled up with background."""
    blank = np.full_like(tiles[0], round(BACKGROUND_SRGB * 255))
    columns = min(columns, len(tiles))
    tiles = tiles + [blank] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)])
