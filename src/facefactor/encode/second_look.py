# SPDX-License-Identifier: Apache-2.0
"""Read the corrections of albedo off what the base level leaves unexplained: a second look at the same crop (torch).

    crop ─network─► base code ─face model─► lit vertices ─► r = log crop − log lit albedo, at the vertices ─W─► δ

The paper (arXiv:1712.02859) regresses all coefficients from the same features, in which a beard's or a brow's outline
is long averaged away: it takes months of photos to learn what a look at the answer shows at once. Here a linear map W
reads the corrections of the residual r, which is taken where the face turns to the camera; a vertex that is hidden
takes the residual of its mirror image. What light can explain is not a correction of albedo: from each channel of r is
taken, by weighted least squares, what is constant or linear in the surface normal, so strength, tint and direction of
the light stay the base level's and no correction is a way round them.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import PART_SHAPES
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.linear_points import LinearPoints
from facefactor.face.model import FaceModel
from facefactor.face.symmetry import match_mirrored
from facefactor.light.spherical_harmonics import evaluate_basis, irradiance_over_pi
from facefactor.losses.photometric import colour_distance
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.render.skin_error import LEAST_FACING
from facefactor.render.vertex import facing_cosines

READING_UNIT = 0.03
"""Answer per unit of residual that a weight of one stands for: Adam moves all weights alike."""
LARGEST_RESIDUAL = 0.8
"""Log albedo: what differs by more is hair, glasses or a shadow's edge."""
USUAL_DISTANCE = 0.6
"""Colour distance, sRGB units, at which a vertex counts a quarter: most that differ so much are not skin."""
LEAST_IRRADIANCE, LEAST_COLOUR = 0.05, 0.003
"""Below these a logarithm is noise."""
NUM_LOOKED_AT = 800
"""Vertices; a crop shows them two to three pixels apart."""
NUM_LIGHT_BANDS = 4
"""Spherical harmonics that a residual is freed of: the constant and the three linear ones."""


class SecondLook(nn.Module):
    """Answers corrections of the face's albedo, and what goes with them in its geometry.

    Args:
        model: the base face model.
        num_geometry: corrections of geometry.
        num_reflectance: corrections of albedo.
        places: (N,) vertices of the face at which it looks; by default some that are spread evenly.
    """

    here: Tensor
    around: Tensor
    mirrored: Tensor
    log_albedo_mean: Tensor
    reflectance_basis: Tensor
    K: Tensor

    def __init__(
        self, model: FaceModel, num_geometry: int, num_reflectance: int, places: np.ndarray | None = None
    ) -> None:
        super().__init__()
        places = spread_places(model) if places is None else places
        around = _compass(model.triangles, places)
        needed = np.union1d(places, around)
        self.points = LinearPoints(model, lambda values: values[needed])
        for name, array in {
            "here": np.searchsorted(needed, places),
            "around": np.searchsorted(needed, around),
            "mirrored": match_mirrored(model.mean[places]),
            "log_albedo_mean": model.log_albedo_mean[places].reshape(-1).astype(np.float32),
            "reflectance_basis": model.reflectance_basis[:, places].reshape(-1, 3 * len(places)).astype(np.float32),
            "K": crop_intrinsics(ENCODER_CROP_PX).astype(np.float32),
        }.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)
        self.reader = nn.Linear(3 * len(places), num_geometry + num_reflectance, bias=False)
        nn.init.zeros_(self.reader.weight)

    def forward(
        self, crops_srgb: Float[Tensor, "batch 3 size size"], packed: Float[Tensor, "batch base"]
    ) -> Float[Tensor, "batch corrections"]:
        """Read the corrections, those of geometry first.

        Args:
            crops_srgb: [0, 1], of ENCODER_CROP_PX pixels.
            packed: the base level's codes, ordered as `FaceCode.pack`; no gradient passes to them.
        """
        return READING_UNIT * self.reader(self.residuals(crops_srgb, packed).flatten(1))

    @torch.no_grad()
    def residuals(
        self, crops_srgb: Float[Tensor, "batch 3 size size"], packed: Float[Tensor, "batch base"]
    ) -> Float[Tensor, "batch vertices 3"]:
        """Log albedo that crops want beside the base level's and its light; zero where nothing is known."""
        sizes = [int(np.prod(size)) for size in PART_SHAPES.values()]
        parts = dict(zip(PART_SHAPES, packed.split(sizes, dim=-1), strict=True))
        R = matrix_from_axis_angle(parts["rotation"])
        points = move_to_camera(self.points.place(parts["shape"], parts["expression"]), R, parts["translation"])
        # index_select rather than brackets: in a graph it is a plain gather, which is several times as fast.
        vertices = points.index_select(1, self.here)
        north, east, south, west = (points.index_select(1, ids) for ids in self.around)
        # Twice the area that the four span, as a vector: for a ring of four that is the sum of its triangles' normals.
        normals = nn.functional.normalize(torch.linalg.cross(north - south, east - west, dim=-1), dim=-1)
        irradiance = irradiance_over_pi(normals, parts["illumination"].unflatten(-1, (9, 3)))
        log_albedo = (self.log_albedo_mean + parts["reflectance"] @ self.reflectance_basis).unflatten(-1, (-1, 3))
        lit = log_albedo.exp() * irradiance.clamp_min(LEAST_IRRADIANCE)
        observed = _sample(crops_srgb, project_points(vertices, self.K))
        share = (facing_cosines(vertices, normals) > LEAST_FACING).to(lit.dtype)
        share = share / (1 + (colour_distance(observed, linear_to_srgb(lit)) / USUAL_DISTANCE).square()).square()
        wanted = srgb_to_linear(observed).clamp_min(LEAST_COLOUR).log() - lit.log()
        wanted = wanted.clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL)
        wanted = share[..., None] * _without_light(wanted, normals, share[..., None])
        return torch.where(share[..., None] > 0, wanted, wanted.index_select(1, self.mirrored))


def _without_light(
    log_ratio: Float[Tensor, "batch vertices 3"],
    normals: Float[Tensor, "batch vertices 3"],
    share: Float[Tensor, "batch vertices 1"],
) -> Float[Tensor, "batch vertices 3"]:
    """Take off what the first harmonics of the normal explain, by Gram–Schmidt, which graphs can hold."""
    found: list[Tensor] = []
    for harmonic in evaluate_basis(normals)[..., :NUM_LIGHT_BANDS].split(1, dim=-1):
        for other in found:
            harmonic = harmonic - other * (share * other * harmonic).sum(dim=1, keepdim=True)
        length = (share * harmonic.square()).sum(dim=1, keepdim=True).sqrt()
        found.append(harmonic / (length + 1e-6))
    harmonics = torch.cat(found, dim=-1)
    return log_ratio - harmonics @ (harmonics.mT @ (share * log_ratio))


def _sample(
    crops_srgb: Float[Tensor, "batch 3 size size"], positions_px: Float[Tensor, "batch vertices 2"]
) -> Float[Tensor, "batch vertices 3"]:
    """Bilinear; the formula of `render.vertex.sample_picture` as one operator."""
    places = 2.0 * positions_px / crops_srgb.shape[-1] - 1.0
    read = nn.functional.grid_sample(crops_srgb, places[:, None], padding_mode="border", align_corners=False)
    return read[:, :, 0].mT


def spread_places(model: FaceModel) -> np.ndarray:
    """About NUM_LOOKED_AT vertices of the face, spread evenly and alike on both sides."""
    face = np.asarray(model.regions["face"])
    points = model.mean[face].astype(np.float64)
    mirrored = match_mirrored(points)
    half = np.flatnonzero(points[:, 0] <= points[mirrored, 0])
    chosen = [half[np.argmax(points[half, 2])]]  # the nose's tip, then always what is farthest from all that is chosen
    distance = np.full(len(half), np.inf)
    while len(chosen) < NUM_LOOKED_AT // 2:
        distance = np.minimum(distance, np.linalg.norm(points[half] - points[chosen[-1]], axis=1))
        chosen.append(half[np.argmax(distance)])
    return face[np.union1d(chosen, mirrored[chosen])]


def _compass(triangles: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(4, N) four vertices around each place, a quarter of its ring apart, counter-clockwise seen from outside."""
    following: dict[int, dict[int, int]] = {int(place): {} for place in places}
    for corners in triangles.tolist():
        for place, first, second in (corners, corners[1:] + corners[:1], corners[2:] + corners[:2]):
            if place in following:
                following[place][first] = second
    return np.array([_quarters(place, ring) for place, ring in following.items()]).T


def _quarters(place: int, following: dict[int, int]) -> list[int]:
    """Four vertices of a ring, given by what follows on each; at the mesh's border the place itself closes it."""
    starts = sorted(set(following) - set(following.values()))
    ring = [starts[0] if starts else min(following)]
    while (step := following.get(ring[-1])) is not None and step != ring[0]:
        ring.append(step)
    if starts:
        ring.append(place)
    return [ring[round(quarter * len(ring) / 4) % len(ring)] for quarter in range(4)]
