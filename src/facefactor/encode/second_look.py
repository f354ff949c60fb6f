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

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import PART_SHAPES
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.linear_bases import Mixture
from facefactor.face.linear_points import LinearPoints
from facefactor.face.model import FaceModel
from facefactor.face.symmetry import match_mirrored
from facefactor.light.spherical_harmonics import evaluate_basis, lambert_light
from facefactor.photo.colour import LINEAR_THRESHOLD, log_linear_to_srgb, srgb_to_log_linear
from facefactor.render.skin_error import LEAST_FACING

READING_UNIT = 0.03
"""Answer per unit of residual that a weight of one stands for: Adam moves all weights alike."""
LARGEST_RESIDUAL = 0.8
"""Log albedo: what differs by more is hair, glasses or a shadow's edge."""
USUAL_DISTANCE = 0.6
"""Colour distance, sRGB units, at which a vertex counts a quarter: most that differ so much are not skin."""
LEAST_IRRADIANCE, LEAST_LOG_COLOUR = 0.05, math.log(LINEAR_THRESHOLD)
"""Below these a logarithm is noise."""
HALF_TRUSTED = 0.33
"""Fourth root of the mean fourth power of residuals at which half of what they say of geometry is believed: photos of
the day have 0.26 to 0.33, photos lit by one flash from aside 0.34 to 0.41."""
RIDGE = 1e-4
"""Of the normal equations, whose diagonal is about the number of vertices seen."""
NUM_LOOKED_AT = 800
"""Vertices; a crop shows them two to three pixels apart."""
NUM_LIGHT_BANDS = 4
"""Spherical harmonics that a residual is freed of: the constant and the three linear ones."""


class SecondLook(nn.Module):
    """Answers corrections of the face's albedo, and what goes with them in its geometry.

    All but a few numbers go by planes, (3, V) and not (V, 3), and squares are products: graphs run these several times
    as fast.

    Args:
        model: the base face model.
        num_geometry: corrections of geometry.
        num_reflectance: corrections of albedo.
        places: (N,) vertices of the face at which it looks; by default some that are spread evenly.
    """

    mirrored: Tensor
    log_albedo_mean: Tensor
    reflectance_basis: Tensor
    K: Tensor

    def __init__(
        self, model: FaceModel, num_geometry: int, num_reflectance: int, places: np.ndarray | None = None
    ) -> None:
        super().__init__()
        self.num_geometry = num_geometry
        places = spread_places(model) if places is None else places
        self.points = LinearPoints(model, _with_spans(places, _compass(model.triangles, places)))
        basis = np.moveaxis(model.reflectance_basis[:, places], 2, 1).reshape(-1, 3 * len(places))
        for name, array in {
            "mirrored": match_mirrored(model.mean[places]),
            "log_albedo_mean": model.log_albedo_mean[places].T.reshape(-1).astype(np.float32),
            "reflectance_basis": basis.astype(np.float32),
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
        residuals = self.residuals(crops_srgb, packed)
        read = READING_UNIT * self.reader(residuals.flatten(1))
        geometry, reflectance = read.split((self.num_geometry, read.shape[1] - self.num_geometry), dim=1)
        return torch.cat((_geometry_trust(residuals) * geometry, reflectance), dim=1)

    @torch.no_grad()
    def residuals(
        self, crops_srgb: Float[Tensor, "batch 3 size size"], packed: Float[Tensor, "batch base"]
    ) -> Float[Tensor, "batch 3 vertices"]:
        """Log albedo that crops want beside the base level's and its light; zero where nothing is known."""
        sizes = [int(np.prod(size)) for size in PART_SHAPES.values()]
        parts = dict(zip(PART_SHAPES, packed.split(sizes, dim=-1), strict=True))
        placed = self.points.place(parts["shape"], parts["expression"])
        turned = matrix_from_axis_angle(parts["rotation"]) @ placed.mT
        vertices, upward, across = turned.split(turned.shape[2] // 3, dim=2)
        vertices = vertices + parts["translation"][:, :, None]
        # Twice the area that the four around a place span: for a ring of four the sum of its triangles' normals.
        normals = nn.functional.normalize(torch.linalg.cross(upward, across, dim=1), dim=1)
        harmonics = evaluate_basis(normals, axis=1)
        irradiance = lambert_light(parts["illumination"].unflatten(-1, (9, 3))).mT @ harmonics
        log_albedo = (self.log_albedo_mean + parts["reflectance"] @ self.reflectance_basis).unflatten(-1, (3, -1))
        log_lit = (log_albedo + irradiance.clamp_min(LEAST_IRRADIANCE).log()).clamp_min(LEAST_LOG_COLOUR)
        observed = _sample(crops_srgb, project_points(vertices.mT, self.K))
        missing = observed - log_linear_to_srgb(log_lit)
        share = 1 + (missing * missing).sum(dim=1, keepdim=True) / USUAL_DISTANCE**2
        toward = -(normals * vertices).sum(dim=1, keepdim=True)
        faces = toward > LEAST_FACING * vertices.norm(dim=1, keepdim=True)
        share = faces / (share * share)
        wanted = (srgb_to_log_linear(observed) - log_lit).clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL)
        wanted = share * _without_light(wanted, harmonics[:, :NUM_LIGHT_BANDS], share)
        return torch.where(faces, wanted, wanted.index_select(2, self.mirrored))


def _geometry_trust(residuals: Float[Tensor, "batch 3 vertices"]) -> Float[Tensor, "batch 1"]:
    """How far geometry is read off residuals: 1 / (1 + (m₄ / m)²), m₄ the mean fourth power of their brightness.

    Under one lamp faces have shadows that no harmonics explain. They are few and large, and are no shape.
    """
    brightness = residuals.mean(dim=1)
    squares = brightness * brightness
    excess = (squares * squares).mean(dim=1, keepdim=True) / HALF_TRUSTED**4
    return 1.0 / (1.0 + excess * excess)


def _without_light(
    log_ratio: Float[Tensor, "batch 3 vertices"],
    harmonics: Float[Tensor, "batch bands vertices"],
    share: Float[Tensor, "batch 1 vertices"],
) -> Float[Tensor, "batch 3 vertices"]:
    """Take off what the harmonics explain, by the normal equations and Gauss–Jordan, which graphs can hold."""
    system = (share * harmonics) @ torch.cat((harmonics, log_ratio), dim=1).mT
    ones = torch.eye(harmonics.shape[1], dtype=system.dtype, device=system.device)
    system = system + RIDGE * torch.cat((ones, ones.new_zeros(len(ones), 3)), dim=1)
    for band in range(len(ones)):
        row, column = system[:, band : band + 1], system[:, :, band : band + 1]
        system = system - (column - ones[:, band : band + 1]) * (row / row[:, :, band : band + 1])
    return log_ratio - system[:, :, len(ones) :].mT @ harmonics


def _sample(
    crops_srgb: Float[Tensor, "batch 3 size size"], positions_px: Float[Tensor, "batch vertices 2"]
) -> Float[Tensor, "batch 3 vertices"]:
    """Bilinear, beyond the border the border's colour: `render.vertex.sample_picture` by planes.

    Graphs run this several times as fast as the operator for it, whose gradients are not needed here.
    """
    width = crops_srgb.shape[-1]
    places = (positions_px.mT - 0.5).clamp(0, width - 1)
    corner = places.floor().clamp(max=width - 2)
    across, down = (places - corner).split(1, dim=1)
    first = (corner[:, 1:] * width + corner[:, :1]).long()
    corners = torch.cat((first, first + 1, first + width, first + width + 1), dim=2).expand(-1, 3, -1)
    upper_left, upper_right, lower_left, lower_right = (
        crops_srgb.flatten(2).gather(2, corners).split(first.shape[2], dim=2)
    )
    upper = upper_left + across * (upper_right - upper_left)
    lower = lower_left + across * (lower_right - lower_left)
    return upper + down * (lower - upper)


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


def _with_spans(places: np.ndarray, around: np.ndarray) -> Mixture:
    """The places, and as further "points" how far it is across each, from south to north and from west to east.

    Rounded to float16, as the bases of the face model are: a graph keeps them so.
    """
    north, east, south, west = around

    def mixture(values: np.ndarray) -> np.ndarray:
        spans = values[north] - values[south], values[east] - values[west]
        return np.concatenate((values[places], *spans)).astype(np.float16)

    return mixture


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
