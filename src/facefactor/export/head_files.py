# SPDX-License-Identifier: Apache-2.0
"""The files of a head, whatever their format: the bytes of each, so that all can be written together."""

from collections.abc import Sequence
from pathlib import Path

from facefactor.errors import OutputUnwritable
from facefactor.export.glb import GlbMesh, encode_glb
from facefactor.export.obj import encode_obj
from facefactor.export.ply import encode_ply
from facefactor.export.usd import encode_usd


def encode_heads(paths: Sequence[Path], mesh: GlbMesh) -> dict[Path, bytes]:
    """Make the files of a head, and those that belong to them.

    Args:
        paths: each ending in .glb, .obj, .ply, .usdz or .usda, in any case.
        mesh: the head.

    Raises:
        MissingExtra: USD is wanted, and usd-core is not installed.
        OutputUnwritable: a path ends in something else.
    """
    contents: dict[Path, bytes] = {}
    for path in paths:
        match path.suffix.lower():
            case ".glb":
                contents[path] = encode_glb(mesh)
            case ".obj":
                contents |= encode_obj(path, mesh)
            case ".ply":
                contents[path] = encode_ply(mesh)
            case ".usdz" | ".usda":
                contents |= encode_usd(path, mesh)
            case _:
                raise OutputUnwritable(f"{path}: heads are exported as .glb, .obj, .ply, .usdz or .usda")
    return contents
