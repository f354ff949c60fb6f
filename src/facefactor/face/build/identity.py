# SPDX-License-Identifier: Apache-2.0
"""The identity space: one PCA over MakeHuman's heads and ICT-FaceKit's scan-based modes.

Half the samples are MakeHuman heads of random ancestry, sex, age and build with random details; half are
ICT-FaceKit's mean plus its 100 modes (MIT, USC Institute for Creative Technologies), carried to our mesh by a
non-rigid registration of the mean head. MakeHuman brings ages and ancestries, the scans bring real faces' detail.
"""

import re
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from facefactor.face.adjacency import triangles_within
from facefactor.face.build import makehuman
from facefactor.face.build.mesh import EYE_PARTS, HeadTopology
from facefactor.face.build.regions import Regions, mirror_vertices
from facefactor.face.build.registration import extend_smoothly, register
from facefactor.face.closest import closest_points
from facefactor.face.similarity import fit_similarity

SAMPLES_PER_SOURCE = 2000
INTER_PUPIL_MM = 63.0
"""Mean adult inter-pupil distance (Dodgson 2004)."""
ICT_WEIGHT_SD = 1.0

RACE_CONCENTRATION = 0.35
MIN_AGE = 1 / 3
"""Youngest head sampled: MakeHuman's child anchor, about twelve years."""
DETAIL_FOLDERS = ("head", "eyes", "nose", "mouth", "chin", "cheek", "forehead", "ears", "eyebrows", "neck")
DETAIL_SD = 0.24
"""Of a slider that runs from -1 to 1; at 0.4 heads become caricatures."""
ASYMMETRY_SHARE = 0.15
"""Of a detail's standard deviation that differs between left and right."""
NOT_IDENTITY = re.compile(r"^head-(trans|angle|age|fat)|^neck-(trans|double)|^measure-neck-height")
"""Targets that move the whole head, exaggerate, or repeat what the macro targets do."""
OPPOSITES = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
)

FACE_WEIGHT, EAR_WEIGHT, EYE_WEIGHT, REST_WEIGHT = 1.0, 0.4, 0.3, 0.12
"""Square roots of how much each region counts in the PCA."""
SKULL_SHARE, SKULL_DISTANCE_MM = 0.5, 50.0
"""Share of the variation that is kept on the skull and neck, and how far from the face that holds fully."""
MEAN_SHARE = 0.75
"""MakeHuman's mean head is a style rather than a measurement: this share of its offset from the scans' is removed."""

LID_DRAG = 0.2
"""How much an eyeball follows its lids along its surface, against resting on them."""
LID_REACH_MM = 30.0
"""Distance from an eyeball's centre beyond which the skin is left alone when lids are fitted to the ball."""


@dataclass(frozen=True)
class IdentitySpace:
    """mean + Σ α_k basis_k, α in standard deviations."""

    mean: np.ndarray
    """(V, 3) mm."""
    basis: np.ndarray
    """(K, V, 3) mm per standard deviation."""
    explained: float
    """Share of the samples' weighted variance that the K components hold."""


@dataclass(frozen=True)
class IctHeads:
    """ICT-FaceKit's identity space on our mesh."""

    mean: np.ndarray
    """(V, 3) mm."""
    modes: np.ndarray
    """(100, V, 3) mm."""
    face: np.ndarray
    """(V,) bool: inside ICT's narrow face."""
    skin_triangles: np.ndarray
    """(F', 3) triangles of our mesh's outer skin."""
    residual_mm: float
    """Mean distance of our outer skin from ICT's mean head after the registration."""


def mean_makehuman_head(topology: HeadTopology, base: makehuman.BaseMesh) -> np.ndarray:
    """(V, 3) the mean young adult over ancestries and sexes, origin between the eyes, 63 mm between the pupils."""
    head = topology.transfer @ _macro_mean(base)
    return centre_head(head, topology)


def scale_to_millimetres(topology: HeadTopology, base: makehuman.BaseMesh) -> float:
    """Factor from base.obj's millimetres to the model's, by the mean adult's inter-pupil distance."""
    return float(_centring(topology.transfer @ _macro_mean(base), topology)[1])


def centre_head(vertices: np.ndarray, topology: HeadTopology) -> np.ndarray:
    """Scale heads (..., V, 3) to the mean inter-pupil distance, their origin midway between the eyeballs' centres."""
    origin, scale = _centring(vertices, topology)
    return (vertices - origin[..., None, :]) * scale[..., None, None]


def carry_ict_heads(
    ict: dict[str, np.ndarray],
    template: np.ndarray,
    topology: HeadTopology,
    regions: Regions,
    landmarks: sparse.csr_matrix,
    ict_landmarks: np.ndarray,
) -> IctHeads:
    """Register our template with ICT's mean head and read every mode off its surface.

    Args:
        ict: arrays mean_mm, modes_mm, triangles, narrow_face of the ICT file.
        template: (V, 3) our mean head.
        topology: the head mesh.
        regions: its regions.
        landmarks: (L, V) reads landmarks off the template.
        ict_landmarks: (L, 3) the same landmarks on ICT's mean head.
    """
    target, triangles = ict["mean_mm"].astype(np.float64), ict["triangles"]
    alignment = fit_similarity(landmarks @ template, ict_landmarks)
    aligned = alignment.apply(template)
    trust = np.zeros(len(template))
    trust[regions.outer_skin] = 1.0
    trust[regions.ears] = 0.1
    fitted = register(
        aligned, topology.triangles, topology.edges, trust, target, triangles,
        landmarks, ict_landmarks, np.full(len(ict_landmarks), 0.05),
    )  # fmt: skip
    mirror = mirror_vertices(template)
    fitted = 0.5 * (fitted + fitted[mirror] * [-1, 1, 1])

    found = closest_points(fitted, target, triangles)
    trust *= found.distances < 1.0
    corner_ids = triangles[found.triangles]
    modes = np.einsum("vc,kvcd->kvd", found.barycentrics, ict["modes_mm"].astype(np.float64)[:, corner_ids])
    modes = _complete(modes, fitted, trust, topology, regions)
    in_face = np.isin(corner_ids, ict["narrow_face"]).all(axis=1) & (trust > 0.5)
    solid = np.setdiff1d(regions.outer_skin, regions.ears)
    fitted = _complete((fitted - aligned)[None], aligned, trust, topology, regions)[0] + aligned
    skin_triangles = triangles_within(topology.triangles, regions.outer_skin)
    return IctHeads(fitted, modes, in_face, skin_triangles, float(found.distances[solid].mean()))


def sample_ict_heads(heads: IctHeads, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, V, 3) random heads of ICT's space."""
    weights = rng.normal(0, ICT_WEIGHT_SD, (count, len(heads.modes)))
    return heads.mean + np.einsum("nk,kvd->nvd", weights, heads.modes, optimize=True)


def sample_makehuman_heads(
    topology: HeadTopology, base: makehuman.BaseMesh, count: int, rng: np.random.Generator
) -> np.ndarray:
    """(count, V, 3) random MakeHuman heads, not yet aligned."""
    num = len(base.vertices)
    macro = {k: topology.transfer @ v for k, v in makehuman.read_targets("macrodetails", num).items()}
    details = _detail_controls(topology, num)
    neutral = topology.transfer @ base.vertices
    heads = np.empty((count, *neutral.shape), dtype=np.float32)
    for i in range(count):
        weights = makehuman.macro_weights(
            races=rng.dirichlet(np.full(3, RACE_CONCENTRATION)),
            female=float(rng.beta(0.5, 0.5)),
            age=float(rng.uniform(MIN_AGE, 1.0)),
            muscle=float(rng.beta(3, 3)),
            weight=float(rng.beta(2.5, 2.5)),
        )
        head = neutral + sum(w * macro[name] for name, w in weights.items() if w > 0 and name in macro)
        for negative, positive, mirrored in details:
            value = rng.normal(0, DETAIL_SD)
            for targets in (negative, positive), mirrored:
                if targets is not None:
                    own = value + rng.normal(0, ASYMMETRY_SHARE * DETAIL_SD)
                    head = head + abs(own) * targets[int(own > 0)]
        heads[i] = head
    return heads


def identity_space(
    populations: list[np.ndarray], face: np.ndarray, topology: HeadTopology, regions: Regions, count: int
) -> IdentitySpace:
    """Align the samples on the face and take their principal components.

    Args:
        populations: heads (N, V, 3) of each source, any similarity frame; the last one's mean counts most
            (`MEAN_SHARE`).
        face: (V,) bool, the region that counts most and that aligns.
        topology: the head mesh.
        regions: its regions.
        count: number of components K.
    """
    aligned = _align(np.concatenate(populations), face, topology)
    aligned = _draw_means_together(aligned, [len(heads) for heads in populations])
    origin, scale = _centring(aligned.mean(axis=0), topology)
    aligned = ((aligned - origin) * scale).astype(np.float32)
    mean = aligned.mean(axis=0)
    aligned = mean + (aligned - mean) * _skull_damping(mean, face)[:, None].astype(np.float32)
    weights = np.full(len(face), REST_WEIGHT)
    weights[regions.ears] = EAR_WEIGHT
    weights[face] = FACE_WEIGHT
    for eye in EYE_PARTS:
        weights[topology.parts[eye]] = EYE_WEIGHT
    residual = (aligned - mean).reshape(len(aligned), -1).astype(np.float32)
    weighted = residual * np.repeat(weights, 3).astype(np.float32)
    values, vectors = np.linalg.eigh((weighted @ weighted.T).astype(np.float64) / len(weighted))
    values, vectors = values[::-1], vectors[:, ::-1][:, :count]
    basis = (vectors.T / np.sqrt(len(residual))) @ residual
    basis *= np.sign(basis[np.arange(count), np.abs(basis).argmax(axis=1)])[:, None]
    return IdentitySpace(mean, basis.reshape(count, -1, 3), float(values[:count].sum() / values.sum()))


def _align(samples: np.ndarray, face: np.ndarray, topology: HeadTopology, rounds: int = 3) -> np.ndarray:
    """Generalised Procrustes on the face; the mean keeps the inter-pupil distance and the origin between the eyes."""
    aligned = np.array(samples, dtype=np.float32)
    mean = centre_head(aligned.mean(axis=0), topology)
    for _ in range(rounds):
        for i, head in enumerate(aligned):
            aligned[i] = fit_similarity(head[face], mean[face]).apply(head)
        mean = centre_head(aligned.mean(axis=0), topology)
    for i, head in enumerate(aligned):
        aligned[i] = fit_similarity(head[face], mean[face]).apply(head)
    return aligned


def _centring(vertices: np.ndarray, topology: HeadTopology) -> tuple[np.ndarray, np.ndarray]:
    """The point (..., 3) midway between the eyeballs' centres, and the factor that puts these INTER_PUPIL_MM apart."""
    left, right = (topology.eye_centre(vertices, eye) for eye in EYE_PARTS)
    return 0.5 * (left + right), INTER_PUPIL_MM / np.linalg.norm(left - right, axis=-1)


def _draw_means_together(aligned: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Move each population by MEAN_SHARE of the way from its own mean to the last one's: style is no identity."""
    ends = np.cumsum(sizes)
    means = [aligned[end - size : end].mean(axis=0) for size, end in zip(sizes, ends, strict=True)]
    result = aligned.copy()
    for mean, size, end in zip(means, sizes, ends, strict=True):
        result[end - size : end] += np.float32(MEAN_SHARE) * (means[-1] - mean)
    return result


def _skull_damping(mean: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(V,) 1 on the face, falling to SKULL_SHARE over the skull and neck, of which photos show little."""
    distance = np.linalg.norm(mean - mean[face][cKDTree(mean[face]).query(mean)[1]], axis=1)
    far = np.clip(distance / SKULL_DISTANCE_MM, 0, 1)
    return 1 - (1 - SKULL_SHARE) * far**2 * (3 - 2 * far)


def _macro_mean(base: makehuman.BaseMesh) -> np.ndarray:
    targets = makehuman.read_targets("macrodetails", len(base.vertices))
    weights = makehuman.macro_weights(np.full(3, 1 / 3), female=0.5, age=2 / 3, muscle=0.5, weight=0.5)
    return base.vertices + sum(w * targets[name] for name, w in weights.items() if w > 0 and name in targets)


def _detail_controls(topology: HeadTopology, num_base: int) -> list:
    """Each control as ((negative, positive) of the left or middle, of the right or None): displacements (V, 3)."""
    targets: dict[str, np.ndarray] = {}
    for folder in DETAIL_FOLDERS:
        for name, displacement in makehuman.read_targets(folder, num_base).items():
            if not NOT_IDENTITY.match(name):
                targets[name] = topology.transfer @ displacement
    pairs = {}
    for name in targets:
        stem, _, suffix = name.rpartition("-")
        for negative, positive in OPPOSITES:
            if suffix == negative and f"{stem}-{positive}" in targets:
                pairs[stem] = (targets[name], targets[f"{stem}-{positive}"])
    controls = []
    for stem, (low, high) in pairs.items():
        if stem.startswith("r-"):
            continue
        mirrored = pairs.get("r-" + stem.removeprefix("l-")) if stem.startswith("l-") else None
        controls.append((low, high, mirrored))
    return controls


def _complete(
    fields: np.ndarray, vertices: np.ndarray, trust: np.ndarray, topology: HeadTopology, regions: Regions
) -> np.ndarray:
    """Continue displacement fields (K, V, 3) over hidden skin; teeth, tongue and eyeballs follow what holds them."""
    smooth = _extend_fields(fields, trust, topology)
    for part in ("upper_teeth", "lower_teeth", "tongue"):
        ids, ring = topology.parts[part], regions.lip_seam
        shift, growth = _follow(smooth[:, ring], vertices[ring])
        smooth[:, ids] = shift[:, None] + growth[:, None, None] * (vertices[ids] - vertices[ring].mean(axis=0))
    gap = np.zeros_like(smooth)
    margins = (regions.left_lid_margin, regions.right_lid_margin)
    for eye, ring in zip(EYE_PARTS, margins, strict=True):
        ids, centre = topology.parts[eye], topology.eye_centre(vertices, eye)
        shift, growth, radial = _rest_on(smooth[:, ring], vertices[ring] - centre)
        smooth[:, ids] = shift[:, None] + growth[:, None, None] * (vertices[ids] - centre)
        gap[:, ring] = radial
    # What is left between lid margin and ball is taken out of the skin around the eye.
    far = np.min([np.linalg.norm(vertices - topology.eye_centre(vertices, eye), axis=1) for eye in EYE_PARTS], axis=0)
    pinned = (far > LID_REACH_MM).astype(float)
    pinned[np.concatenate(margins)] = 100.0
    lids = np.concatenate([regions.outer_skin, regions.left_socket, regions.right_socket])
    smooth[:, lids] -= _extend_fields(gap, pinned, topology)[:, lids]
    return smooth


def _extend_fields(fields: np.ndarray, trust: np.ndarray, topology: HeadTopology) -> np.ndarray:
    flat = np.moveaxis(fields, 0, -1).reshape(fields.shape[1], -1)
    return np.moveaxis(extend_smoothly(flat, trust, topology.edges).reshape(fields.shape[1], 3, -1), -1, 0)


def _follow(displacements: np.ndarray, ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Translation (K, 3) and even growth (K,) about its centre that best explain a ring's displacements (K, R, 3)."""
    arms = ring - ring.mean(axis=0)
    growth = np.einsum("krd,rd->k", displacements, arms) / (arms**2).sum()
    return displacements.mean(axis=1), growth


def _rest_on(displacements: np.ndarray, arms: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move and grow a ball so that a ring of lid margin keeps its distance from its surface, as far as it can.

    Args:
        displacements: (K, R, 3) of the margin.
        arms: (R, 3) from the ball's centre to the margin.

    Returns:
        The ball's shift (K, 3) and growth (K,), and the radial part (K, R, 3) of the margin's displacement relative to
        the moved ball that is left.
    """
    reach = np.linalg.norm(arms, axis=1, keepdims=True)
    normals = arms / reach
    radial = np.concatenate([normals, reach], axis=1)
    along = np.concatenate([np.tile(np.identity(3), (len(arms), 1, 1)), arms[:, :, None]], axis=2).reshape(-1, 4)
    system = np.concatenate([radial, LID_DRAG * along])
    targets = np.einsum("krd,rd->kr", displacements, normals)
    right = np.concatenate([targets, LID_DRAG * displacements.reshape(len(displacements), -1)], axis=1)
    solution = np.linalg.lstsq(system, right.T, rcond=None)[0].T
    left_over = targets - solution @ radial.T
    return solution[:, :3], solution[:, 3], left_over[:, :, None] * normals
