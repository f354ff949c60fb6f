# SPDX-License-Identifier: Apache-2.0
"""One textured head as Wavefront OBJ with its material and texture, in millimetres: `k.obj`, `k.mtl`, `k.png`.

OBJ keeps separate indices for vertices and UVs, counted from one, and v upwards, as the face model does.
It holds no morph targets: `glb.py` does.
"""

from pathlib import Path

import numpy as np

from facefactor.export.atomic import write_bytes, write_png


def write_obj(
    path: Path,
    vertices_mm: np.ndarray,
    triangles: np.ndarray,
    uv: np.ndarray,
    uv_triangles: np.ndarray,
    texture_srgb: np.ndarray,
) -> None:
    """Write `path` (ending .obj) and, beside it, the .mtl and .png of the same name.

    Args:
        path: the OBJ file.
        vertices_mm: (V, 3), head frame.
        triangles: (F, 3) vertex indices.
        uv: (W, 2) in [0, 1], v up.
        uv_triangles: (F, 3) indices into uv, parallel to triangles.
        texture_srgb: (height, width, 3) uint8 albedo.

    Raises:
        OutputUnwritable: a file cannot be written.
    """
    material_path, texture_path = path.with_suffix(".mtl"), path.with_suffix(".png")
    corners = np.stack([triangles, uv_triangles], axis=2).reshape(-1, 6) + 1
    lines = [
        "# facefactor head, millimetres, y up, +z front",
        f"mtllib {material_path.name}",
        *(f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertices_mm.tolist()),
        *(f"vt {u:.6f} {v:.6f}" for u, v in uv.tolist()),
        "usemtl skin",
        *("f {}/{} {}/{} {}/{}".format(*face) for face in corners.tolist()),
    ]
    material = f"newmtl skin\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {texture_path.name}\n"
    write_png(texture_path, texture_srgb)
    write_bytes(material_path, material.encode("utf-8", "surrogateescape"))
    write_bytes(path, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
