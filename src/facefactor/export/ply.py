# SPDX-License-Identifier: Apache-2.0
"""One head as a binary PLY with a colour per vertex, in millimetres: the form that geometry programs read best.

Source of the format: Turk, The PLY Polygon File Format, 1994.
"""

from pathlib import Path

import numpy as np

from facefactor.export.atomic import write_bytes

_VERTEX = np.dtype([("position_mm", "<f4", 3), ("colour_srgb", "u1", 3)])
_FACE = np.dtype([("corner_count", "u1"), ("corners", "<i4", 3)])


def write_ply(path: Path, vertices_mm: np.ndarray, triangles: np.ndarray, colours_srgb: np.ndarray) -> None:
    """Write a coloured mesh as binary little-endian PLY.

    Args:
        path: the PLY file.
        vertices_mm: (V, 3).
        triangles: (F, 3) vertex indices.
        colours_srgb: (V, 3) uint8.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    vertices = np.empty(len(vertices_mm), _VERTEX)
    vertices["position_mm"] = vertices_mm
    vertices["colour_srgb"] = colours_srgb
    faces = np.empty(len(triangles), _FACE)
    faces["corner_count"] = 3
    faces["corners"] = triangles
    write_bytes(path, _header(len(vertices), len(faces)) + vertices.tobytes() + faces.tobytes())


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
