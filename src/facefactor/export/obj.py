# SPDX-License-Identifier: Apache-2.0
"""One textured head as Wavefront OBJ with its material and texture, in millimetres: three files that belong together.

OBJ keeps separate indices for vertices and UVs, counted from one, and v upwards, as the face model does.
It holds no morph targets: the head has the expression that its GLB opens with.
"""

from pathlib import Path

import numpy as np

from facefactor.export.atomic import encode_png
from facefactor.export.glb import GlbMesh


def encode_obj(path: Path, mesh: GlbMesh) -> dict[Path, bytes]:
    """Return the files of a head: `NAME.obj`, and beside it `NAME.mtl` and `NAME_albedo.png`.

    Args:
        path: of the OBJ file, whose name the others are made of.
        mesh: the head.
    """
    material_path, texture_path = path.with_suffix(".mtl"), texture_beside(path)
    corners = np.stack([mesh.triangles, mesh.uv_triangles], axis=2).reshape(-1, 6) + 1
    lines = [
        "# facefactor head, millimetres, y up, +z front",
        f"mtllib {material_path.name}",
        *(f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.posed_vertices_mm.tolist()),
        *(f"vt {u:.6f} {v:.6f}" for u, v in mesh.uv.tolist()),
        "usemtl skin",
        *("f {}/{} {}/{} {}/{}".format(*face) for face in corners.tolist()),
    ]
    material = f"newmtl skin\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {texture_path.name}\n"
    return {
        texture_path: encode_png(mesh.texture_srgb),
        material_path: material.encode("utf-8", "surrogateescape"),
        path: ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"),
    }


def texture_beside(path: Path) -> Path:
    """Where the texture of a head's file goes: not NAME.png, which may be the photo, or the pictures of the face."""
    return path.with_name(f"{path.stem}_albedo.png")
