# SPDX-License-Identifier: Apache-2.0
"""Hair and what is worn over it, for synthetic faces: caps on the scalp, falls down the sides, strands, hats, scarves.

None of it is in the face code: it is there so that an encoder learns to look past it. Everything grows on the head's
own vertices, in the head frame, so it follows identity and pose. A cap is the scalp's skin lifted along its normals,

    lift = thickness · ramp(above the hairline) · (1 + waves),      cover = 1/2 + (height above the hairline) / width

whose edge the strand-like noise texture makes ragged.
"""

from dataclasses import dataclass, replace

import numpy as np

from facefactor.data.solids import grid_triangles, join, tube
from facefactor.data.surfaces import Surface
from facefactor.face.model import FaceModel
from facefactor.face.normals import vertex_normals

AXIS_Z_MM = -75.0
"""Where the upright axis stands around which azimuths are counted; 0 is the front."""
HAIRLINE_DEG = (0.0, 25.0, 40.0, 52.0, 62.0, 69.0, 77.0, 84.0, 100.0, 108.0, 125.0, 180.0)
HAIRLINE_MM = (62.0, 64.0, 60.0, 48.0, 22.0, -5.0, -12.0, 14.0, 14.0, -25.0, -65.0, -92.0)
"""Height of the hairline over the azimuth, on the mean head: forehead, temple, sideburn, over the ear, nape."""
LOWEST_FRINGE_MM = 16.0
"""Hair that grows on the scalp comes down to here over the forehead."""
EDGE_MM = 14.0
"""Over this height cover goes from none to whole."""
STRAND_TEXTURE_MM = 45.0
"""Size of one repeat of the noise texture on the head."""

HAIR_COLOURS = {
    "black": (0.014, 0.012, 0.011),
    "dark brown": (0.035, 0.023, 0.015),
    "brown": (0.085, 0.050, 0.028),
    "blond": (0.30, 0.20, 0.10),
    "red": (0.17, 0.065, 0.025),
    "grey": (0.24, 0.23, 0.22),
    "white": (0.50, 0.48, 0.45),
}
"""Linear albedo."""
COLOUR_SHARES_LIGHT_SKIN = (0.16, 0.27, 0.25, 0.14, 0.05, 0.09, 0.04)
COLOUR_SHARES_DARK_SKIN = (0.66, 0.20, 0.03, 0.01, 0.0, 0.08, 0.02)


@dataclass(frozen=True)
class ScalpChart:
    """The part of the mean head that can bear hair or a hat."""

    vertex_ids: np.ndarray
    """(N,) native vertices."""
    triangles: np.ndarray
    """(F, 3) into `vertex_ids`."""
    normals: np.ndarray
    """(N, 3) of the mean head."""
    points: np.ndarray
    """(N, 3) on the mean head, millimetres."""
    azimuth_deg: np.ndarray
    """(N,) in [-180, 180], positive to the subject's left."""
    hairline_mm: np.ndarray
    """(N,) height of the hairline at each vertex' azimuth."""
    texture: np.ndarray
    """(N, 2) texture coordinates: around the head, and from the crown down."""


def chart_scalp(model: FaceModel) -> ScalpChart:
    """Find the skin above the lowest fringe and the nape, without the ears."""
    azimuth_deg = np.degrees(np.arctan2(model.mean[:, 0], model.mean[:, 2] - AXIS_Z_MM))
    hairline_mm = np.interp(np.abs(azimuth_deg), HAIRLINE_DEG, HAIRLINE_MM)
    lowest = np.where(np.abs(azimuth_deg) < 66.0, LOWEST_FRINGE_MM, hairline_mm) - 0.5 * EDGE_MM
    bears = np.zeros(model.num_vertices, dtype=bool)
    bears[model.regions["outer_skin"]] = True
    bears[model.regions["ears"]] = False
    bears &= model.mean[:, 1] > lowest
    triangles = model.triangles[bears[model.triangles].all(axis=1)]
    vertex_ids, flat = np.unique(triangles, return_inverse=True)
    points = model.mean[vertex_ids]
    around = np.radians(azimuth_deg[vertex_ids]) * 85.0
    polar = np.arctan2(np.hypot(points[:, 0], points[:, 2] - AXIS_Z_MM), points[:, 1] - 20.0) * 95.0
    return ScalpChart(
        vertex_ids,
        flat.reshape(-1, 3).astype(np.int32),
        vertex_normals(model.mean, model.triangles)[vertex_ids],
        points,
        azimuth_deg[vertex_ids],
        hairline_mm[vertex_ids],
        np.stack((around, polar), axis=1) / STRAND_TEXTURE_MM,
    )


def draw_hair_colour(generator: np.random.Generator, tone: float) -> np.ndarray:
    """Draw a linear albedo (3,), darker as a rule where skin is dark.

    Args:
        generator: of the draw.
        tone: reflectance component 0 of the face.
    """
    is_dark = generator.random() < 1.0 / (1.0 + np.exp(3.0 * (tone - 0.2)))
    shares = COLOUR_SHARES_DARK_SKIN if is_dark else COLOUR_SHARES_LIGHT_SKIN
    colour = np.array(list(HAIR_COLOURS.values())[generator.choice(len(shares), p=shares)])
    return colour * np.exp(0.25 * generator.standard_normal() + 0.06 * generator.standard_normal(3))


def draw_hair(
    chart: ScalpChart, vertices: np.ndarray, colour: np.ndarray, generator: np.random.Generator, thickest_mm: float
) -> list[Surface]:
    """Draw a hairstyle: shaved, short or long, with or without a fringe and loose strands.

    Args:
        chart: of the face model.
        vertices: (V, 3) the head, head frame, millimetres.
        colour: linear albedo (3,).
        generator: of the draw.
        thickest_mm: what there is room for.
    """
    kind = generator.random()
    if kind < 0.06:
        return []
    thickness_mm = generator.uniform(1.0, 4.0) if kind < 0.22 else generator.uniform(6.0, 24.0)
    thickness_mm = min(thickness_mm, thickest_mm)
    surfaces = [grow_cap(chart, vertices, colour, thickness_mm, _draw_hairline(chart, generator), generator)]
    if kind > 0.62:
        surfaces.append(hang_fall(vertices, colour, thickness_mm, generator))
    if kind > 0.22 and generator.random() < 0.3:
        surfaces.append(drop_strands(chart, vertices, colour, generator))
    return surfaces


def grow_cap(
    chart: ScalpChart,
    vertices: np.ndarray,
    colour: np.ndarray,
    thickness_mm: float,
    hairline_mm: np.ndarray,
    generator: np.random.Generator,
) -> Surface:
    """Lift the scalp above a hairline (N,) by the hair's thickness."""
    above = (chart.points[:, 1] - hairline_mm) / EDGE_MM
    waves = 1.0 + 0.3 * _waves(chart.points, 0.05, generator)
    lift = 0.6 + thickness_mm * np.clip(above / 2.0, 0.0, 1.0) ** 0.7 * np.clip(waves, 0.3, 2.0)
    turn = generator.normal(0.0, 0.35)
    texture = chart.texture @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return Surface(
        vertices[chart.vertex_ids] + lift[:, None] * chart.normals,
        chart.triangles,
        colour,
        ambient=np.clip(0.55 + 0.2 * above, 0.45, 0.9),
        gloss=generator.uniform(0.0, 0.06),
        cover=np.clip(0.5 + above, -0.5, 1.5),
        texture=texture,
        exponent=generator.uniform(8.0, 25.0),
        contrast=generator.uniform(0.15, 0.45),
        sharpness=generator.uniform(1.2, 3.0),
        raggedness=generator.uniform(0.15, 0.35),
    )


def hang_fall(vertices: np.ndarray, colour: np.ndarray, thickness_mm: float, generator: np.random.Generator) -> Surface:
    """Hang long hair, or cloth, around the sides and back of the head, open at the face."""
    front_deg = generator.uniform(50.0, 80.0, size=2)
    bottom_mm = generator.uniform(-230.0, -70.0)
    azimuth = np.radians(np.linspace(front_deg[0], 360.0 - front_deg[1], 36))[None, :]
    height = np.linspace(bottom_mm, 66.0, 14)[:, None]
    half_width = np.abs(vertices[:, 0]).max()
    flare = generator.normal(0.0, 0.12) * np.clip(-height / 150.0, 0.0, 1.0)
    dome = np.sqrt(1.0 - np.clip((height - 10.0) / 95.0, 0.0, 1.0) ** 2)
    radius_x = (half_width - 4.0 + 0.6 * thickness_mm) * (dome + flare)
    radius_z = (96.0 + 0.6 * thickness_mm) * (dome + flare)
    y = np.broadcast_to(height, np.broadcast_shapes(height.shape, azimuth.shape))
    points = np.stack((radius_x * np.sin(azimuth), y, AXIS_Z_MM + radius_z * np.cos(azimuth)), axis=-1).reshape(-1, 3)
    points[:, [0, 2]] += 5.0 * _waves(points, 0.05, generator)[:, None]
    edge = np.minimum(np.arange(36), np.arange(36)[::-1])[None, :] / 2.0
    hem = np.arange(14)[:, None] / 2.0
    texture = np.stack(np.broadcast_arrays(azimuth * 90.0, height), axis=-1).reshape(-1, 2) / STRAND_TEXTURE_MM
    return Surface(
        points,
        grid_triangles(14, 36),
        colour,
        ambient=np.clip(np.broadcast_to(0.75 + height / 500.0, y.shape), 0.3, 0.8).ravel(),
        gloss=generator.uniform(0.0, 0.06),
        cover=np.clip(np.minimum(edge, hem), 0.0, 1.2).ravel(),
        texture=texture,
        exponent=generator.uniform(8.0, 25.0),
        contrast=generator.uniform(0.2, 0.5),
        sharpness=generator.uniform(1.5, 3.0),
        raggedness=generator.uniform(0.15, 0.35),
        from_both_sides=True,
    )


def drop_strands(
    chart: ScalpChart, vertices: np.ndarray, colour: np.ndarray, generator: np.random.Generator
) -> Surface:
    """Let locks fall from the front hairline over forehead, temple or eye."""
    front = np.abs(chart.azimuth_deg) < 60.0
    near = chart.vertex_ids[front & (np.abs(chart.points[:, 1] - chart.hairline_mm - 6.0) < 8.0)]
    face = vertices[vertices[:, 2] > -40.0][::3]
    middle = vertices[generator.choice(near)]
    locks = []
    for _ in range(generator.integers(3, 14)):
        root = vertices[generator.choice(near)]
        root = root + 0.5 * (middle - root)  # locks come from about one place
        length = generator.uniform(25.0, 95.0)
        steps = np.linspace(0.0, 1.0, 7)[:, None]
        drift = np.array([generator.normal(0.0, 0.35) + 0.4 * np.sign(root[0]), -1.0, 0.0])
        path = root + steps * length * drift + steps**2 * length * (generator.normal(0.0, 0.25), 0.0, 0.0)
        nearest = ((path[:, None, :2] - face[None, :, :2]) ** 2).sum(axis=-1).argmin(axis=1)
        path[:, 2] = np.maximum(face[nearest, 2], path[:, 2] - 25.0 * steps[:, 0]) + generator.uniform(2.0, 5.0)
        locks.append(tube(path, generator.uniform(0.5, 2.4) * (1.05 - steps[:, 0]), sides=4))
    points, triangles = join(locks)
    along = np.stack((points[:, 0], 0.3 * points[:, 1]), axis=1) / 10.0
    return Surface(points, triangles, colour, ambient=0.8, gloss=0.03, texture=along, contrast=0.25)


def put_on_hat(
    chart: ScalpChart, vertices: np.ndarray, colour: np.ndarray, generator: np.random.Generator
) -> list[Surface]:
    """Put a beanie or a cap with its peak on the head."""
    rim_mm = generator.uniform(26.0, 56.0) + generator.normal(0.0, 3.0) * chart.points[:, 0] / 60.0
    rim_mm = rim_mm + np.clip(-chart.points[:, 2] - 20.0, 0.0, 150.0) * generator.uniform(-0.35, 0.05)
    hat = grow_cap(chart, vertices, colour, generator.uniform(9.0, 18.0), rim_mm, generator)
    hat = replace(
        hat, ambient=0.9, gloss=0.0, contrast=generator.uniform(0.0, 0.2), sharpness=8.0, raggedness=0.01,
        texture=3.0 * chart.texture,
    )  # fmt: skip
    if generator.random() < 0.5:
        return [hat]
    return [hat, _peak(vertices, float(np.min(rim_mm[np.abs(chart.azimuth_deg) < 10.0])), colour, generator)]


def wrap_scarf(
    chart: ScalpChart, vertices: np.ndarray, colour: np.ndarray, generator: np.random.Generator
) -> list[Surface]:
    """Wrap a scarf around head, ears and neck."""
    rim_mm = np.minimum(chart.hairline_mm, generator.uniform(38.0, 60.0)) - 14.0
    contrast = generator.uniform(0.0, 0.12)
    cap = grow_cap(chart, vertices, colour, generator.uniform(4.0, 9.0), rim_mm, generator)
    fall = hang_fall(vertices, colour, 4.0, generator)
    fall = replace(fall, gloss=0.0, contrast=contrast, raggedness=0.02, sharpness=4.0)
    return [replace(cap, gloss=0.0, contrast=contrast, raggedness=0.02, ambient=0.9, sharpness=6.0), fall]


def _draw_hairline(chart: ScalpChart, generator: np.random.Generator) -> np.ndarray:
    """Move the mean hairline (N,): higher or lower, with a fringe, bald in front."""
    hairline = chart.hairline_mm + generator.normal(0.0, 5.0)
    side = chart.azimuth_deg * generator.normal(0.0, 0.1)
    is_front = 1.0 / (1.0 + np.exp((np.abs(chart.azimuth_deg) - 52.0) / 4.0))
    kind = generator.random()
    if kind < 0.3:
        hairline = hairline - is_front * (generator.uniform(8.0, 38.0) + side)
    elif kind < 0.42:
        hairline = hairline + is_front * generator.uniform(10.0, 60.0)
    return np.maximum(
        hairline + 4.0 * _waves(chart.points, 0.09, generator), LOWEST_FRINGE_MM * is_front - 95.0 * (1.0 - is_front)
    )


def _peak(vertices: np.ndarray, rim_mm: float, colour: np.ndarray, generator: np.random.Generator) -> Surface:
    azimuth = np.radians(np.linspace(-68.0, 68.0, 17))[None, :]
    out = np.linspace(0.0, 1.0, 5)[:, None]
    half_width = 0.93 * np.abs(vertices[:, 0]).max()
    reach = generator.uniform(45.0, 75.0) * np.cos(azimuth) ** 0.7
    x = (half_width + 0.25 * reach * out) * np.sin(azimuth)
    z = -59.0 + (half_width + reach * out) * np.cos(azimuth)
    y = rim_mm + 13.0 - out * generator.uniform(2.0, 18.0) - 14.0 * out * np.sin(azimuth) ** 2
    points = np.stack(np.broadcast_arrays(x, y, z), axis=-1).reshape(-1, 3)
    return Surface(
        points, np.ascontiguousarray(grid_triangles(5, 17)[:, ::-1]), colour, ambient=0.8, from_both_sides=True
    )


def _waves(points: np.ndarray, frequency: float, generator: np.random.Generator) -> np.ndarray:
    """A smooth random function of place, (N,), of about mean zero and deviation one; frequency in radians/mm."""
    vectors = frequency * generator.standard_normal((3, 5))
    return np.sin(points @ vectors + generator.uniform(0.0, 2 * np.pi, 5)).sum(axis=1) * 0.63
