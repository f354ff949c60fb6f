# SPDX-License-Identifier: Apache-2.0
"""Fit the face model to a target's surface: similarity, shape and, where the target has one, expression.

Gauss–Newton on all of them at once. With x = s R p + t the target's points in the model's frame, c and n the closest
model point and its normal, b the landmarks' places on the model, each round linearises and minimises

    Σ_i w_i (n_i·(x_i − c_i))² / σ_s²  +  Σ_l ‖x_l − b_l‖² / σ_l²  +  ‖α‖² + Σ_j δ_j² / σ_δ²,      0 ≤ δ ≤ 1,

where the surface term is averaged and counts as `SURFACE_OBSERVATIONS` independent ones, w are Geman–McClure weights,
zero where normals disagree, and σ_l grows from round to round, so that landmarks start the fit and the surface
finishes it. The linear model is read off `MorphableFace`, which is exact: it is affine in shape and in expression.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.linalg import solve_triangular
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.evaluate.target import FIRST_INNER, Landmarks3d, Target
from facefactor.face.closest import closest_points
from facefactor.face.linear_bases import JAW_OPEN, MOUTH_CLOSE
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.face.normals import vertex_normals
from facefactor.face.similarity import Similarity, fit_similarity
from facefactor.photo.landmarks import IBUG_51_FROM_478

LANDMARK_SD_MM = (1.0, 1.0, 1.0, 1.5, 1.5, 1.5, 2.0, 2.0, 2.0, 2.0)
"""σ_l of each round of the fit; people's marks scatter by 1 to 3 mm."""
SURFACE_SD_MM = 0.3
SURFACE_OBSERVATIONS = 100
"""How many independent points they count as; so the coefficients come out about as large as the prior says."""
EXPRESSION_SD = 0.4
OUTLIER_MM, LANDMARK_OUTLIER_MM, OUTLIER_MEDIANS = 3.0, 5.0, 3.0
"""A point's or a landmark's weight has fallen to a quarter at this distance, or at so many medians if that is more."""
MIN_NORMAL_COSINE = 0.3
FIT_EVERY = 2
"""The fit uses each second measured point; the measure uses all."""
NOT_MEASURED = ("ears", "mouth_lining", "left_socket", "right_socket")
"""Regions of the model's skin that no target is compared with."""
NUM_POSE = 7
"""Growth, rotation and translation."""

WEIGHTS_OF_UNKNOWNS = np.eye(len(EXPRESSION_NAMES))
WEIGHTS_OF_UNKNOWNS[JAW_OPEN, MOUTH_CLOSE] = 1.0
"""δ = W u: with jawOpen = u_jawOpen + u_mouthClose, the rule mouthClose ≤ jawOpen is u ≥ 0 like the others."""


@dataclass(frozen=True)
class ModelSurface:
    """The part of a face model that a scan can see, refined by one subdivision step of S vertices."""

    model: FaceModel
    morph: MorphableFace
    triangles: np.ndarray
    """(F', 3) skin seen from outside, without the ears."""
    shape_columns: np.ndarray
    """(3S, K) how the vertices' coordinates move with each shape coefficient of a face without expression, mm."""

    @classmethod
    def of(cls, model: FaceModel) -> "ModelSurface":
        """Prepare a model for fitting."""
        morph = MorphableFace(model, native_albedo=True)
        hidden = np.concatenate([model.regions[name] for name in NOT_MEASURED])
        skin = np.zeros(model.num_vertices)
        skin[np.setdiff1d(model.regions["skin"], hidden)] = 1.0
        on_skin = model.subdivision @ skin > 0.99
        triangles = model.triangles_subdivided[on_skin[model.triangles_subdivided].all(axis=1)]
        return cls(model, morph, triangles, _columns(morph, morph.shape_basis))

    def vertices(self, shape: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """(S, 3) mm."""
        placed = self.morph.vertices(_tensor(shape)[None], _tensor(expression)[None])
        return self.morph.subdivide(placed)[0].numpy().astype(np.float64)

    def shape_columns_under(self, expression: np.ndarray) -> np.ndarray:
        """(3S, K) `shape_columns` of a face with an expression: blinks depend on shape."""
        if not expression.any():
            return self.shape_columns
        count = self.shape_columns.shape[1]
        states = torch.cat([torch.zeros(1, count), torch.eye(count)])
        placed = self.morph.vertices(states, _tensor(expression).expand(count + 1, -1))
        return _columns(self.morph, placed[1:] - placed[:1])

    def expression_columns(self, shape: np.ndarray) -> np.ndarray:
        """(3S, 52) how the coordinates of one identity move with each unknown u of `WEIGHTS_OF_UNKNOWNS`."""
        return _columns(self.morph, self.morph.expressions(_tensor(shape))) @ WEIGHTS_OF_UNKNOWNS

    def embedding(self, which: Landmarks3d) -> tuple[np.ndarray, np.ndarray]:
        """Vertex ids (L, 3) and barycentric weights (L, 3) of a target's landmarks."""
        if which.scheme == "ibug68":
            return self.model.landmarks68_vertices[which.ibug], self.model.landmarks68_weights[which.ibug]
        numbers = np.array(IBUG_51_FROM_478)[which.ibug - FIRST_INNER]
        return self.model.landmarks478_vertices[numbers], self.model.landmarks478_weights[numbers]

    def landmarks(self, vertices: np.ndarray, which: Landmarks3d) -> np.ndarray:
        """(L, 3) places of a target's landmarks on the model."""
        corners, weights = self.embedding(which)
        return (vertices[corners] * weights[:, :, None]).sum(axis=1)


@dataclass(frozen=True)
class ShapeFit:
    """A face model laid onto a target."""

    to_model: Similarity
    """Maps the target's upright frame to the model's."""
    shape: np.ndarray
    """(K,) standard deviations."""
    expression: np.ndarray
    """(52,) weights in [0, 1]."""
    vertices: np.ndarray
    """(S, 3) the refined model, mm, model frame."""


@dataclass(frozen=True)
class Unknowns:
    """The coefficients that one round solves for beside the pose, linearised at the present fit."""

    columns: np.ndarray
    """(3S, C) how they move the vertices' coordinates; shape first, then expression."""
    state: np.ndarray
    """(C,) their present values; expression in the unknowns of `WEIGHTS_OF_UNKNOWNS`."""
    num_shape: int
    expressions: list[int]
    """Which expressions follow the shape coefficients; each stays within [0, 1]."""


def fit_mean(surface: ModelSurface, target: Target) -> ShapeFit:
    """Lay the mean face onto a target by a similarity."""
    fit = _start(surface, target)
    pose_only = Unknowns(np.zeros((fit.vertices.size, 0)), np.zeros(0), 0, [])
    for landmark_sd_mm in LANDMARK_SD_MM:
        fit = _improve(surface, target, fit, pose_only, landmark_sd_mm)
    return fit


def fit_shape(surface: ModelSurface, target: Target) -> ShapeFit:
    """Fit similarity, shape, and the expressions that the target may have."""
    fit = _start(surface, target)
    for landmark_sd_mm in LANDMARK_SD_MM:
        fit = _improve(surface, target, fit, _unknowns(surface, target, fit), landmark_sd_mm)
    return fit


def _start(surface: ModelSurface, target: Target) -> ShapeFit:
    shape, expression = np.zeros(surface.shape_columns.shape[1]), np.zeros(len(EXPRESSION_NAMES))
    vertices = surface.vertices(shape, expression)
    places = surface.landmarks(vertices, target.landmarks)
    return ShapeFit(fit_similarity(target.landmarks.points, places), shape, expression, vertices)


def _unknowns(surface: ModelSurface, target: Target, fit: ShapeFit) -> Unknowns:
    columns, state = surface.shape_columns_under(fit.expression), fit.shape
    expressions = [EXPRESSION_NAMES.index(name) for name in target.expressions]
    if expressions:
        columns = np.concatenate([columns, surface.expression_columns(fit.shape)[:, expressions]], axis=1)
        state = np.concatenate([state, np.linalg.solve(WEIGHTS_OF_UNKNOWNS, fit.expression)[expressions]])
    return Unknowns(columns, state, len(fit.shape), expressions)


def _improve(
    surface: ModelSurface, target: Target, fit: ShapeFit, unknowns: Unknowns, landmark_sd_mm: float
) -> ShapeFit:
    """One Gauss–Newton round."""
    middle = fit.to_model.apply(target.points).mean(axis=0)
    equations = (
        _surface_rows(surface, target, fit, middle, unknowns),
        _landmark_rows(surface, target, fit, middle, unknowns) / landmark_sd_mm,
        _prior_rows(unknowns),
    )
    solution = _solve(np.concatenate(equations), first_bounded=NUM_POSE + unknowns.num_shape)
    pose, shape, weights = np.split(solution, [NUM_POSE, NUM_POSE + unknowns.num_shape])
    to_model = _compose(_small_similarity(pose, middle), fit.to_model)
    shape = shape if unknowns.num_shape else fit.shape
    expression = np.clip(WEIGHTS_OF_UNKNOWNS[:, unknowns.expressions] @ weights, 0.0, 1.0)
    return ShapeFit(to_model, shape, expression, surface.vertices(shape, expression))


def _surface_rows(
    surface: ModelSurface, target: Target, fit: ShapeFit, middle: np.ndarray, unknowns: Unknowns
) -> np.ndarray:
    """Weighted equations (P, 7 + C + 1) of the point-to-plane distances."""
    points = fit.to_model.apply(target.points[::FIT_EVERY])
    found = closest_points(points, fit.vertices, surface.triangles)
    corners = surface.triangles[found.triangles]
    normals = (vertex_normals(fit.vertices, surface.triangles)[corners] * found.barycentrics[:, :, None]).sum(axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    agrees = ((target.normals[::FIT_EVERY] @ fit.to_model.rotation.T) * normals).sum(axis=1) > MIN_NORMAL_COSINE
    weights = agrees * _robust_weights(found.distances, OUTLIER_MM) * SURFACE_OBSERVATIONS / len(points)
    rows = _rows(points, found.points, normals, corners, found.barycentrics, middle, unknowns)
    return rows * np.sqrt(weights)[:, None] / SURFACE_SD_MM


def _landmark_rows(
    surface: ModelSurface, target: Target, fit: ShapeFit, middle: np.ndarray, unknowns: Unknowns
) -> np.ndarray:
    """Weighted equations (3L, 7 + C + 1) of the landmarks' distances along each axis."""
    points = fit.to_model.apply(target.landmarks.points)
    corners, barycentrics = surface.embedding(target.landmarks)
    places = surface.landmarks(fit.vertices, target.landmarks)
    trust = np.sqrt(_robust_weights(np.linalg.norm(places - points, axis=1), LANDMARK_OUTLIER_MM))[:, None]
    rows = [
        trust * _rows(points, places, np.tile(axis, (len(points), 1)), corners, barycentrics, middle, unknowns)
        for axis in np.eye(3)
    ]
    return np.concatenate(rows)


def _prior_rows(unknowns: Unknowns) -> np.ndarray:
    """Equations (C, 7 + C + 1) that pull each coefficient to zero."""
    sd = np.ones(len(unknowns.state))
    sd[unknowns.num_shape :] = EXPRESSION_SD
    return np.pad(np.diag(1 / sd), ((0, 0), (NUM_POSE, 1)))


def _rows(
    points: np.ndarray,
    places: np.ndarray,
    directions: np.ndarray,
    corners: np.ndarray,
    weights: np.ndarray,
    middle: np.ndarray,
    unknowns: Unknowns,
) -> np.ndarray:
    """Equations direction·(point moved by the pose − place moved by the unknowns) = 0, the right-hand side last.

    Args:
        points: (N, 3) of the target, model frame.
        places: (N, 3) on the model as it is.
        directions: (N, 3) unit vectors.
        corners: (N, 3) vertex ids of each place's triangle.
        weights: (N, 3) its barycentric weights.
        middle: (3,) about which the pose turns and grows.
        unknowns: C of them.
    """
    count = len(points)
    coordinates = (3 * corners[:, :, None] + np.arange(3)).reshape(count, 9)
    values = (weights[:, :, None] * directions[:, None, :]).reshape(count, 9)
    pick = sparse.csr_matrix(
        (values.ravel(), coordinates.ravel(), np.arange(0, 9 * count + 1, 9)), shape=(count, len(unknowns.columns))
    )
    moves = pick @ unknowns.columns
    arms = points - middle
    pose = np.concatenate([(arms * directions).sum(axis=1)[:, None], np.cross(arms, directions), directions], axis=1)
    right = ((places - points) * directions).sum(axis=1) - moves @ unknowns.state
    return np.concatenate([pose, -moves, right[:, None]], axis=1)


def _robust_weights(distances: np.ndarray, outlier_mm: float) -> np.ndarray:
    """Geman–McClure weights (N,) of distances (N,)."""
    return 1 / (1 + (distances / max(outlier_mm, OUTLIER_MEDIANS * np.median(distances))) ** 2) ** 2


def _solve(rows: np.ndarray, first_bounded: int) -> np.ndarray:
    """Least squares of rows [A | b]; the unknowns from `first_bounded` on stay within [0, 1].

    In the triangular form of the equations the last unknowns stand alone: they are solved first, under their bounds,
    and the free ones follow by substitution.
    """
    triangle = np.asarray(np.linalg.qr(rows, mode="r"))[: rows.shape[1] - 1]
    matrix, right, free = triangle[:, :-1], triangle[:, -1], slice(0, first_bounded)
    bounded = np.zeros(matrix.shape[1] - first_bounded)
    if len(bounded):
        corner = matrix[first_bounded:, first_bounded:]
        bounded = lsq_linear(corner, right[first_bounded:], (0.0, 1.0), method="bvls").x
    remaining = right[free] - matrix[free, first_bounded:] @ bounded
    return np.concatenate([solve_triangular(matrix[free, free], remaining), bounded])


def _small_similarity(pose: np.ndarray, middle: np.ndarray) -> Similarity:
    """Similarity about `middle` from growth, rotation vector and translation (7,)."""
    scale, rotation = 1 + pose[0], Rotation.from_rotvec(pose[1:4]).as_matrix()
    return Similarity(scale, rotation, middle + pose[4:] - scale * rotation @ middle)


def _compose(outer: Similarity, inner: Similarity) -> Similarity:
    """outer ∘ inner."""
    return Similarity(outer.scale * inner.scale, outer.rotation @ inner.rotation, outer.apply(inner.translation))


def _columns(morph: MorphableFace, fields: torch.Tensor) -> np.ndarray:
    """(3S, K) refined coordinates of displacement fields (K, V, 3)."""
    refined = morph.subdivide(fields)
    return np.ascontiguousarray(refined.reshape(len(fields), -1).numpy().T)


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
