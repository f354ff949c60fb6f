# SPDX-License-Identifier: Apache-2.0
"""A small textured head for the exporters: a sphere with a UV seam, and two morphs; and textures painted from photos.

The photos are renderings of the mean head with patterns on its skin. Those are functions of the place on the head and
are multiplied with the rendering pixel by pixel, so they can be finer than the vertices. Textures are read at places on
the surface, through the model's UVs.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from facefactor.camera.pose import matrix_from_euler_deg, move_to_camera
from facefactor.camera.projection import crop_intrinsics
from facefactor.export.glb import GlbMesh
from facefactor.export.photo_texture import PhotoTexture, crop_size_for
from facefactor.face.albedo import subdivided_albedo
from facefactor.face.face_graph import FaceGraph
from facefactor.face.model import FaceModel, load_face_model
from facefactor.fit.detail import DetailTransfer, SkinDetail
from facefactor.light.spherical_harmonics import ambient_light, directional_light
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.render.picture import View
from facefactor.render.vertex import sample_picture

NUM_RINGS, NUM_SECTORS = 8, 12
RADIUS_MM = 90.0
TEXTURE_PX = 1024
CROP_PX = crop_size_for(TEXTURE_PX)
LIGHT = ambient_light(np.array([0.5, 0.5, 0.5])) + directional_light(np.array([0.3, 0.3, 0.9]), np.full(3, 0.5))
Paint = Callable[[np.ndarray], np.ndarray]
"""From places on the mean head, (N, 3) mm, to log changes of the skin's colour, (N,)."""


Lamp = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Direction and strength."""


@pytest.fixture
def sphere() -> GlbMesh:
    """Sphere of 90 mm whose UVs do not close: vertices on the seam have u = 0 and u = 1.

    Morph "local" moves the ten vertices that lie furthest to the front, "global" moves all, "nothing" none.
    """
    polar = np.linspace(0.2, np.pi - 0.2, NUM_RINGS + 1)[:, None]
    azimuth = (2 * np.pi * np.arange(NUM_SECTORS) / NUM_SECTORS)[None]
    points = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)), axis=-1
    )
    vertices = RADIUS_MM * points.reshape(-1, 3)
    u, v = np.meshgrid(np.linspace(0, 1, NUM_SECTORS + 1), np.linspace(1, 0, NUM_RINGS + 1))
    deltas = np.zeros((3, *vertices.shape))
    deltas[0, np.argsort(vertices[:, 2])[-10:]] = [0.0, 3.0, 7.5]
    deltas[1] = vertices * [0.1, -0.05, 0.0] + [1.0, 2.0, 3.0]
    return GlbMesh(
        vertices_mm=vertices,
        triangles=_grid_triangles(NUM_SECTORS, wraps=True),
        uv=np.stack([u.ravel(), v.ravel()], axis=1),
        uv_triangles=_grid_triangles(NUM_SECTORS + 1, wraps=False),
        texture_srgb=np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8),
        morph_names=("local", "global", "nothing"),
        morph_deltas_mm=deltas,
        morph_weights=np.array([0.25, 0.0, 1.0]),
    )


def _grid_triangles(columns: int, wraps: bool) -> np.ndarray:
    """Return two triangles per cell of the (ring, sector) grid, counter-clockwise from outside."""
    ring, sector = np.meshgrid(np.arange(NUM_RINGS), np.arange(NUM_SECTORS), indexing="ij")
    right = (sector + 1) % columns if wraps else sector + 1
    top_left, top_right = ring * columns + sector, ring * columns + right
    bottom_left, bottom_right = top_left + columns, top_right + columns
    cells = np.stack([top_left, bottom_left, bottom_right, top_left, bottom_right, top_right], axis=-1)
    return cells.reshape(-1, 3)


@dataclass
class Painted:
    """What was made of a photo of the mean head."""

    texture_srgb: np.ndarray
    detail: SkinDetail


def nothing(place_mm: np.ndarray) -> np.ndarray:
    return np.zeros(len(place_mm))


@pytest.fixture(scope="session")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="session")
def surface_mm(model: FaceModel) -> np.ndarray:
    """(S, 3) the mean head's subdivided vertices."""
    return model.subdivision @ model.mean


@pytest.fixture(scope="session")
def albedo(model: FaceModel) -> np.ndarray:
    return subdivided_albedo(model, np.zeros(80, dtype=np.float32))


@pytest.fixture(scope="session")
def texture(model: FaceModel) -> PhotoTexture:
    return PhotoTexture(model, TEXTURE_PX)


@pytest.fixture(scope="session")
def paint(model: FaceModel, surface_mm: np.ndarray, albedo: np.ndarray, texture: PhotoTexture):
    """A function that gives the texture painted from a photo of the mean head, with a pattern on its skin.

    The photo shows it at a yaw, multiplied with exp(pattern), added gloss, and lit by a lamp that nobody knows of.
    """
    transfer = DetailTransfer(model)

    @functools.cache
    def painted(
        yaw_deg: float, pattern: Paint = nothing, gloss: Paint = nothing, unknown_light: Lamp | None = None
    ) -> Painted:
        R = matrix_from_euler_deg(np.array([yaw_deg, 0.0, 0.0]))
        posed = move_to_camera(surface_mm, R, np.array([0.0, 20.0, -1000.0])).astype(np.float32)
        K = crop_intrinsics(CROP_PX)
        view = View(posed, K, model.triangles_subdivided, CROP_PX, CROP_PX)
        light = LIGHT + directional_light(*map(np.array, unknown_light)) if unknown_light else LIGHT
        clean_linear = srgb_to_linear(view.picture(albedo, light))
        place_mm = view.blend(surface_mm).reshape(-1, 3)
        change, added = (values(place_mm).reshape(CROP_PX, CROP_PX, 1) for values in (pattern, gloss))
        photo = linear_to_srgb(np.clip(clean_linear * np.exp(change) + added, 0, 1)).astype(np.float32)
        detail = transfer.compare(posed, albedo, LIGHT, K, photo)
        return Painted(texture.paint(albedo, albedo, detail, posed, LIGHT, K, photo), detail)

    return painted


@pytest.fixture(scope="session")
def places(model: FaceModel, surface_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random places on the front of the face: (N,) triangles, (N, 3) weights, (N, 3) mm."""
    generator = np.random.default_rng(0)
    corners_mm = surface_mm[model.triangles_subdivided]
    centre = corners_mm.mean(axis=1)
    on_front = (centre[:, 2] > 5) & (np.abs(centre[:, 1] + 20) < 55) & (np.abs(centre[:, 0]) < 65)
    on_front &= FaceGraph(model).in_face[model.triangles_subdivided].all(axis=1)
    sides_mm = corners_mm[:, 1:] - corners_mm[:, :1]
    area_mm2 = on_front * np.linalg.norm(np.cross(sides_mm[:, 0], sides_mm[:, 1]), axis=1)
    triangles = generator.choice(len(area_mm2), 20_000, p=area_mm2 / area_mm2.sum())
    weights = generator.dirichlet(np.ones(3), len(triangles))
    return triangles, weights, np.einsum("nk,nkd->nd", weights, corners_mm[triangles])


@pytest.fixture(scope="session")
def read_texture(model: FaceModel):
    """A function of a texture, triangles (N,) and weights (N, 3) that gives the linear colours there, (N, 3)."""

    def read(texture_srgb: np.ndarray, triangles: np.ndarray, weights: np.ndarray) -> np.ndarray:
        uv = np.einsum("nk,nkd->nd", weights, model.uv_subdivided[model.uv_triangles_subdivided[triangles]])
        positions_px = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * len(texture_srgb)
        return srgb_to_linear(sample_picture(texture_srgb[None] / 255.0, positions_px[None])[0])

    return read
