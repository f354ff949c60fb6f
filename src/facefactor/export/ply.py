# SPDX-License-Identifier: Apache-2.0
"""One head as a binary PLY with a colour per vertex, in millimetres: the form that geometry programs read best.

PLY has neither textures nor morph targets that all programs read: each vertex has the texture's colour at its place,
and the head the expression that its GLB opens with.

Source of the format: Turk, The PLY Polygon File Format, 1994.
"""

import numpy as np

from facefactor.export.glb import GlbMesh

_VERTEX = np.dtype([("position_mm", "<f4", 3), ("colour_srgb", "u1", 3)])
_FACE = np.dtype([("corner_count", "u1"), ("corners", "<i4", 3)])


def encode_ply(mesh: GlbMesh) -> bytes:
    """Return a head as binary little-endian PLY."""
    vertices = np.empty(len(mesh.vertices_mm), _VERTEX)
    vertices["position_mm"] = mesh.posed_vertices_mm
    vertices["colour_srgb"] = _colours_at_vertices(mesh)
    faces = np.empty(len(mesh.triangles), _FACE)
    faces["corner_count"] = 3
    faces["corners"] = mesh.triangles
    return _header(len(vertices), len(faces)) + vertices.tobytes() + faces.tobytes()


def _colours_at_vertices(mesh: GlbMesh) -> np.ndarray:
    """(V, 3) uint8 the texel that each vertex lies in; on a seam, of one of its charts."""
    height, width = mesh.texture_srgb.shape[:2]
    uv = np.zeros((len(mesh.vertices_mm), 2))
    uv[mesh.triangles.ravel()] = mesh.uv[mesh.uv_triangles.ravel()]
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(int)
    row = np.clip((1.0 - uv[:, 1]) * height, 0, height - 1).astype(int)
    return mesh.texture_srgb[row, column]


def _header(num_vertices: int, num_faces: int) -> bytes:
    """Return the text that describes the two blocks that follow it."""
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment facefactor head, millimetres, y up, +z front",
        f"element vertex {num_vertices}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue")),
        f"element face {num_faces}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return ("\n".join(lines) + "\n").encode("ascii")
