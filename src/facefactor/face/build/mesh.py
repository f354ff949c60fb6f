# SPDX-License-Identifier: Apache-2.0
"""The head mesh: MakeHuman's head, teeth and tongue, with eyeballs of our own; and one Catmull–Clark step.

Second step of the model build. Every head vertex is either a vertex of base.obj or a point of an eyeball, and an
eyeball moves by the affine map that its 72 helper vertices undergo, so a displacement field on base.obj becomes
one on the head by a linear map (`HeadTopology.transfer`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from facefactor.face.build.makehuman import BaseMesh

NECK_CUT_MM = 602.0
"""Height in base.obj of the plane below which the body is cut away (the eyes are at 728, the neck joint at 589)."""

EYE_SEGMENTS = 24
PUPIL_RAD, IRIS_RAD = np.radians((7.5, 24.0))
"""Half angles seen from the eyeball's centre; the iris is 11.7 mm across (Rüfer et al. 2005) on the mean head."""
EYE_RINGS_RAD = np.radians(
    (
        3.7,
        7.5,
        8.5,
        12.0,
        16.0,
        20.0,
        22.8,
        24.0,
        25.5,
        30.0,
        36.0,
        44.0,
        53.0,
        64.0,
        76.0,
        90.0,
        104.0,
        119.0,
        136.0,
        155.0,
    )
)
EQUATOR = 1 + 15 * EYE_SEGMENTS + np.arange(EYE_SEGMENTS)
"""Eyeball vertices of the ring at 90°, whose mean is the ball's centre under any affine map."""
EYE_PARTS = ("left_eye", "right_eye")
PARTS = {
    "left_eye": "helper-l-eye",
    "right_eye": "helper-r-eye",
    "upper_teeth": "helper-upper-teeth",
    "lower_teeth": "helper-lower-teeth",
    "tongue": "helper-tongue",
}


@dataclass(frozen=True)
class HeadTopology:
    """Connectivity of the head and where its vertices come from."""

    transfer: sparse.csr_matrix
    """(V, base vertices): maps positions or displacements on base.obj to the head."""
    quads: np.ndarray
    """(Q, 4) head vertex ids."""
    uv_makehuman: np.ndarray
    """(W, 2) MakeHuman's texture coordinates, in which its skins are painted, v up; eyeballs in free corners."""
    uv: np.ndarray
    """(W, 2) the same charts packed for a head alone, v up, the face upright."""
    uv_quads: np.ndarray
    """(Q, 4) ids into either uv array, parallel to `quads`."""
    parts: dict[str, np.ndarray]
    """Part name to head vertex ids: skin, left_eye, right_eye, upper_teeth, lower_teeth, tongue."""
    base_ids: np.ndarray
    """(V,) vertex of base.obj, -1 for eyeballs."""

    @property
    def num_vertices(self) -> int:
        return len(self.base_ids)

    def eye_centre(self, vertices: np.ndarray, eye: str) -> np.ndarray:
        """(..., 3) centre of "left_eye" or "right_eye" in vertices (..., V, 3)."""
        return vertices[..., self.parts[eye][EQUATOR], :].mean(axis=-2)

    @cached_property
    def triangles(self) -> np.ndarray:
        """(F, 3) the quads, each split along its first diagonal."""
        return triangulate(self.quads)

    @cached_property
    def edges(self) -> np.ndarray:
        """(E, 2) undirected edges of the quads, each once, low id first."""
        return quad_edges(self.quads)[0]


def build_topology(base: BaseMesh) -> HeadTopology:
    """Cut the head out of base.obj and give it eyeballs."""
    quads, uv_quads = _head_quads(base)
    ids = np.unique(quads)
    new_id = np.full(len(base.vertices), -1)
    new_id[ids] = np.arange(len(ids))
    uv_ids = np.unique(uv_quads)
    new_uv = np.full(len(base.uv), -1)
    new_uv[uv_ids] = np.arange(len(uv_ids))

    rows = [_clip_to_plane(base, ids, quads)]
    all_quads, all_uv_quads, uv = [new_id[quads]], [new_uv[uv_quads]], [base.uv[uv_ids]]
    part_of = {name: new_id[np.intersect1d(ids, np.unique(base.groups[group]))] for name, group in PARTS.items()}
    part_of["skin"] = new_id[np.intersect1d(ids, np.unique(base.groups["body"]))]
    for corner, name in enumerate(EYE_PARTS):
        helper = np.unique(base.groups[PARTS[name]])
        eye_vertices, eye_quads = eyeball(base.vertices[helper])
        weights = _affine_weights(base.vertices[helper], eye_vertices)
        offset = sum(block.shape[0] for block in rows)
        uv_offset = sum(len(block) for block in uv)
        rows.append(
            sparse.csr_matrix(
                (
                    weights.ravel(),
                    (np.repeat(np.arange(len(eye_vertices)), len(helper)), np.tile(helper, len(eye_vertices))),
                ),
                shape=(len(eye_vertices), len(base.vertices)),
            )
        )
        all_quads.append(eye_quads + offset)
        all_uv_quads.append(eye_quads + uv_offset)
        uv.append(_eye_uv(corner))
        part_of[name] = np.arange(offset, offset + len(eye_vertices))
    transfer = sparse.vstack(rows).tocsr()
    base_ids = np.full(transfer.shape[0], -1)
    base_ids[: len(ids)] = ids
    all_uv, joined_uv_quads = np.concatenate(uv), np.concatenate(all_uv_quads)
    return HeadTopology(
        transfer,
        np.concatenate(all_quads),
        all_uv,
        pack_charts(all_uv, joined_uv_quads),
        joined_uv_quads,
        part_of,
        base_ids,
    )


def eyeball(helper_vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ball about the helper's centre looking along +z, with rings at the pupil's and the iris' border.

    Args:
        helper_vertices: (72, 3) vertices of the sphere in base.obj.

    Returns:
        (481, 3) vertices, pole first, then 20 rings of 24; and (Q, 4) quads.
    """
    centre = helper_vertices.mean(axis=0)
    radius = np.linalg.norm(helper_vertices - centre, axis=1).mean()
    around = np.arange(EYE_SEGMENTS) * 2 * np.pi / EYE_SEGMENTS
    polar, azimuth = np.meshgrid(EYE_RINGS_RAD, around, indexing="ij")
    rings = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1)
    vertices = centre + radius * np.concatenate([[[0.0, 0.0, 1.0]], rings.reshape(-1, 3)])

    ring = 1 + np.arange(len(EYE_RINGS_RAD))[:, None] * EYE_SEGMENTS + np.arange(EYE_SEGMENTS)
    after = np.roll(ring, -1, axis=1)
    walls = np.stack([ring[:-1], ring[1:], after[1:], after[:-1]], axis=-1).reshape(-1, 4)
    first = ring[0]
    cap = np.stack([np.zeros(EYE_SEGMENTS // 2, int), first[0::2], first[1::2], np.roll(first, -2)[0::2]], axis=-1)
    return vertices, np.concatenate([cap, walls])


def within_angle(half_angle_rad: float) -> np.ndarray:
    """Eyeball vertices (numbers 0 to 480) whose angle from the pole is at most the given one."""
    rings = np.flatnonzero(half_angle_rad + 1e-9 >= EYE_RINGS_RAD)
    return np.arange(1 + EYE_SEGMENTS * len(rings))


def triangulate(quads: np.ndarray) -> np.ndarray:
    """Split quads (Q, 4) along the first diagonal into triangles (2Q, 3), both of a quad beside each other."""
    return quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def quad_edges(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a quad mesh.

    Returns:
        edges (E, 2), each once, low id first; and quad_edge_ids (Q, 4): side i of a quad joins its corners i, i+1.
    """
    sides = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, inverse = np.unique(sides, axis=0, return_inverse=True)
    return edges, inverse.reshape(quads.shape)


def catmull_clark(quads: np.ndarray, num_vertices: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """One Catmull–Clark step as a sparse matrix (Catmull & Clark 1978; boundaries as cubic B-spline curves).

    Args:
        quads: (Q, 4) vertex ids.
        num_vertices: V; vertices that no quad uses stay where they are.

    Returns:
        (S, V) matrix whose rows are the moved vertices, then a point for each edge, then one for each quad; and the
        (4Q, 4) quads of the refined mesh.
    """
    edges, edge_of = quad_edges(quads)
    num_edges, num_quads = len(edges), len(quads)
    incidence = sparse.csr_matrix(
        (np.full(quads.size, 0.25), (np.repeat(np.arange(num_quads), 4), quads.ravel())),
        shape=(num_quads, num_vertices),
    )
    edge_ends = sparse.csr_matrix(
        (np.full(edges.size, 0.5), (np.repeat(np.arange(num_edges), 2), edges.ravel())), shape=(num_edges, num_vertices)
    )
    edge_quads = sparse.csr_matrix(
        (np.ones(quads.size), (edge_of.ravel(), np.repeat(np.arange(num_quads), 4))), shape=(num_edges, num_quads)
    )
    sides = np.asarray(edge_quads.sum(axis=1)).ravel()
    is_border = sides != 2
    # An inner edge point is the mean of its two ends and its two face points; a border one the mid-point.
    inner_edge = 0.5 * edge_ends + sparse.diags(0.5 / sides) @ edge_quads @ incidence
    edge_points = (
        sparse.diags(np.where(is_border, 1.0, 0.0)) @ edge_ends
        + sparse.diags(np.where(is_border, 0.0, 1.0)) @ inner_edge
    )
    vertex_points = _vertex_points(quads, edges, is_border, incidence, edge_ends, num_vertices)
    matrix = sparse.vstack([vertex_points, edge_points, incidence]).tocsr()
    return matrix, refine_quads(quads, edge_of, num_vertices, num_edges)


def refine_quads(quads: np.ndarray, edge_of: np.ndarray, num_vertices: int, num_edges: int) -> np.ndarray:
    """The four quads each quad becomes, beside each other: corner, next edge point, face point, previous edge point."""
    edge_ids = num_vertices + edge_of
    face_ids = np.broadcast_to((num_vertices + num_edges + np.arange(len(quads)))[:, None], quads.shape)
    return np.stack([quads, edge_ids, face_ids, np.roll(edge_ids, 1, axis=1)], axis=-1).reshape(-1, 4)


def refine_linearly(quads: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split each quad into four without smoothing (texture coordinates keep their seams so).

    Returns:
        values (W', C) at corners, edge mid-points and quad centres, and quads (4Q, 4), ordered as by `catmull_clark`.
    """
    edges, edge_of = quad_edges(quads)
    refined = np.concatenate([values, values[edges].mean(axis=1), values[quads].mean(axis=1)])
    return refined, refine_quads(quads, edge_of, len(values), len(edges))


def _vertex_points(quads, edges, is_border, incidence, edge_ends, num_vertices):
    """(F + 2R + (n-3)P)/n inside; 3/4 P + 1/8 of each border neighbour on the border."""
    vertex_faces = sparse.csr_matrix(
        (np.ones(quads.size), (quads.ravel(), np.repeat(np.arange(len(quads)), 4))), shape=(num_vertices, len(quads))
    )
    vertex_edges = sparse.csr_matrix(
        (np.ones(edges.size), (edges.ravel(), np.repeat(np.arange(len(edges)), 2))), shape=(num_vertices, len(edges))
    )
    valence = np.maximum(np.asarray(vertex_edges.sum(axis=1)).ravel(), 1)
    num_faces = np.maximum(np.asarray(vertex_faces.sum(axis=1)).ravel(), 1)
    identity = sparse.identity(num_vertices, format="csr")
    inner = (
        sparse.diags(1 / (num_faces * valence)) @ vertex_faces @ incidence
        + sparse.diags(2 / valence**2) @ vertex_edges @ edge_ends
        + sparse.diags((valence - 3) / valence) @ identity
    )
    border_edges = vertex_edges @ sparse.diags(is_border.astype(float))
    border_count = np.asarray(border_edges.sum(axis=1)).ravel()
    border = 0.5 * identity + sparse.diags(0.5 / np.maximum(border_count, 1)) @ border_edges @ edge_ends
    unused = np.asarray(vertex_edges.sum(axis=1)).ravel() == 0
    kind = np.where(unused, 2, np.where(border_count > 0, 1, 0))
    return sum(sparse.diags((kind == k).astype(float)) @ m for k, m in enumerate((inner, border, identity)))


def _head_quads(base: BaseMesh) -> tuple[np.ndarray, np.ndarray]:
    """Quads of the skin that reach above the neck cut, of the teeth and of the tongue."""
    body = base.groups["body"]
    above = base.vertices[body][:, :, 1].max(axis=1) > NECK_CUT_MM
    kept = [above & _connected_to(body, above, int(np.argmax(base.vertices[: body.max() + 1, 1])))]
    names = ["body"]
    for part, group in PARTS.items():
        if part not in EYE_PARTS:
            names.append(group)
            kept.append(np.ones(len(base.groups[group]), bool))
    quads = np.concatenate([base.groups[n][k] for n, k in zip(names, kept, strict=True)])
    uv_quads = np.concatenate([base.uv_groups[n][k] for n, k in zip(names, kept, strict=True)])
    return quads, uv_quads


def _clip_to_plane(base: BaseMesh, ids: np.ndarray, quads: np.ndarray) -> sparse.csr_matrix:
    """(len(ids), base vertices): keeps each vertex, or slides one below the neck cut up its edge to the plane."""
    height = base.vertices[:, 1]
    here = np.tile(quads.reshape(-1), 3)
    there = np.concatenate([np.roll(quads, -step, axis=1).reshape(-1) for step in (2, 1, 3)])
    is_edge = np.repeat([False, True, True], quads.size)
    crossing = np.flatnonzero((height[here] < NECK_CUT_MM) & (height[there] > NECK_CUT_MM))
    crossing = crossing[np.lexsort((height[there[crossing]], is_edge[crossing]))]
    neighbour = np.full(len(height), -1)
    neighbour[here[crossing]] = there[crossing]  # the last entry wins: the highest end of an edge, else of a diagonal
    low, rows = ids[neighbour[ids] >= 0], np.flatnonzero(neighbour[ids] >= 0)
    high = neighbour[low]
    share = (NECK_CUT_MM - height[low]) / (height[high] - height[low])
    weights = np.ones(len(ids))
    weights[rows] = 1 - share
    return sparse.csr_matrix(
        (np.concatenate([weights, share]), (np.concatenate([np.arange(len(ids)), rows]), np.concatenate([ids, high]))),
        shape=(len(ids), len(height)),
    )


def _connected_to(quads: np.ndarray, selected: np.ndarray, seed: int) -> np.ndarray:
    """Which selected quads hang together with the one at vertex `seed`."""
    edges = quad_edges(quads[selected])[0]
    size = int(quads.max()) + 1
    graph = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    _, labels = csgraph.connected_components(graph, directed=False)
    return labels[quads[:, 0]] == labels[seed]


def pack_charts(uv: np.ndarray, uv_quads: np.ndarray) -> np.ndarray:
    """Lay the charts out in the unit square: the skin's turned upright on top, the small ones in a row below.

    Each chart keeps its proportions.

    Returns:
        (W, 2) packed coordinates, v up.
    """
    edges = quad_edges(uv_quads)[0]
    graph = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(uv), len(uv)))
    count, chart = csgraph.connected_components(graph, directed=False)
    area = [np.prod(np.ptp(uv[chart == k], axis=0)) for k in range(count)]
    packed = np.empty_like(uv)
    order = np.argsort(area)[::-1]
    skin = chart == order[0]
    # In MakeHuman's layout the forehead points to the left; a quarter turn clockwise puts it on top.
    packed[skin] = _fit_into(uv[skin] @ np.array([[0.0, -1.0], [1.0, 0.0]]), (0.0, 0.3), (1.0, 0.7), at_top=True)
    small = order[1:]
    width = 1 / len(small)
    for place, k in enumerate(small):
        packed[chart == k] = _fit_into(uv[chart == k], (place * width, 0.0), (width, 0.4))
    return packed


def _fit_into(
    points: np.ndarray, corner: tuple[float, float], size: tuple[float, float], at_top: bool = False
) -> np.ndarray:
    """Scale points evenly into a box, with a margin of 2 % of the texture around them."""
    margin = 0.01
    room = np.array(size) - 2 * margin
    scale = (room / np.ptp(points, axis=0)).min()
    placed = (points - points.min(axis=0)) * scale + np.array(corner) + margin
    if at_top:
        placed[:, 1] += room[1] - np.ptp(placed[:, 1])
    return placed


def _affine_weights(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(T, N) weights that carry the least-squares affine map of N moving source points to T target points."""
    homogeneous = np.concatenate([source, np.ones((len(source), 1))], axis=1)
    return np.concatenate([target, np.ones((len(target), 1))], axis=1) @ np.linalg.pinv(homogeneous)


def _eye_uv(corner: int) -> np.ndarray:
    """Azimuthal map of one eyeball into a square of 0.06 in the texture's top-left or top-right corner."""
    around = np.arange(EYE_SEGMENTS) * 2 * np.pi / EYE_SEGMENTS
    polar, azimuth = np.meshgrid(EYE_RINGS_RAD / EYE_RINGS_RAD[-1], around, indexing="ij")
    disc = np.stack([polar * np.cos(azimuth), polar * np.sin(azimuth)], axis=-1).reshape(-1, 2)
    centre = np.array([0.035 if corner else 0.965, 0.965])
    return centre + 0.03 * np.concatenate([[[0.0, 0.0]], disc])
